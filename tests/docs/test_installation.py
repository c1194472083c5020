"""Nothing recommends the `batchflow` of the package index, which is another project."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# `pip install batchflow` or `batchflow[notebook]` as a requirement, but not `batchflow-engine`.
FROM_THE_INDEX = re.compile(
    r"\b(?:pip3?|pipx|uv|conda|poetry) (?:install|add) [^\n`]*\bbatchflow(?![-\w/.])"
    r"|\bbatchflow\[[a-z]+[,\]]"
)
PLACES = ("*.md", "*.toml", "Makefile", "docs", "notebooks", "batchflow", "benchmarks", "tests")
SUFFIXES = {".md", ".toml", ".py", ".ipynb", ""}


def texts() -> Iterator[Path]:
    for pattern in PLACES:
        for place in ROOT.glob(pattern):
            found = place.rglob("*") if place.is_dir() else [place]
            yield from (path for path in found if path.suffix in SUFFIXES and path.is_file())


def test_nothing_recommends_the_other_project() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in texts()
        if path != Path(__file__)
        for match in FROM_THE_INDEX.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_would_install_the_other_project_is_recognised() -> None:
    for wrong in (
        "pip install batchflow",
        "uv add batchflow",
        "pip install 'batchflow[notebook]'",
        "batchflow[dev]",
    ):
        assert FROM_THE_INDEX.search(wrong), wrong
    for right in (
        "pip install batchflow-engine",
        "pip install '.[notebook]'",
        "batchflow[notebook",
    ):
        assert not FROM_THE_INDEX.search(right), right


def test_the_distribution_has_a_name_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "batchflow-engine"

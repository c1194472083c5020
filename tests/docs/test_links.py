"""Each link of the documentation to a file or a heading of this repository leads there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import batchflow

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("*/README.md")),
]


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", prose):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} leads to no file."
        assert not anchor or anchor in anchors_of(linked), f"{target} leads to no heading."


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/what_to_change.md"])
def test_each_source_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    known = [str(path) for path in Path(batchflow.__file__).parent.rglob("*.py")]
    known += [str(path) for path in (ROOT / "tests").rglob("*.py")]
    assert len(named) > 10
    missing = [
        name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in known)
    ]
    assert missing == []

"""Each Python example of the README and of docs/ runs, in order, exactly as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


PAGES = [page for page in sorted(ROOT.glob("docs/*.md")) if python_blocks(page)]


def output_of(blocks: list[str], folder: Path) -> str:
    """Run the blocks as a user would: as a plain script, with no guard around what it starts."""
    script = folder / "pipeline.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    blocks = python_blocks(README)
    assert len(blocks) == 4
    assert "FULFILLED" in output_of(blocks, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_each_page_run(page: Path, tmp_path: Path) -> None:
    # Each page continues the README's pipeline.py and its orders.parquet.
    output_of([*python_blocks(README)[:2], *python_blocks(page)], tmp_path)


def test_the_pages_with_examples_are_found() -> None:
    assert {"loading", "operations", "queries", "steps", "testing"} <= {page.stem for page in PAGES}

"""Each notebook is executed from top to bottom in a kernel of its own, and shows what it should."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.usefixtures("pandas_in_children")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Shown:
    """What the cells of a notebook showed when it was executed."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self._outputs = [output for cell in cells for output in cell.get("outputs", ())]

    @property
    def printed(self) -> str:
        return "".join(each["text"] for each in self._outputs if each.get("name") == "stdout")

    @property
    def told(self) -> str:
        """What went to stderr: warnings, and a bar."""
        return "".join(each["text"] for each in self._outputs if each.get("name") == "stderr")

    def last(self, mime: str) -> list[str]:
        """What the last lines of cells showed in one form."""
        return [each["data"][mime] for each in self._outputs if mime in each.get("data", {})]

    @property
    def pictures(self) -> list[str]:
        """The text in each picture."""
        return [
            " ".join(re.findall(r">([^<>]+)</text>", html))
            for html in self.last("text/html")
            if "<svg" in html
        ]

    def number_before(self, words: str) -> int:
        found = re.search(rf"([\d,]+) {words}", self.printed)
        assert found is not None, self.printed
        return int(found[1].replace(",", ""))


def shown_by(name: str, folder: Path) -> Shown:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(folder)}}).execute()
    return Shown(notebook["cells"])


def test_the_first_workflow_runs(tmp_path: Path) -> None:
    shown = shown_by("first_workflow.ipynb", tmp_path)
    assert "3 runs cancelled" in shown.printed

    tables = "".join(shown.last("text/html"))
    assert "no such country" in tables
    assert "CH-P42" in tables

    graph, counts, *_ = shown.pictures
    assert "of them failing" in graph
    assert "3 cancelled" in counts


def test_ten_million_runs_are_shown_with_what_they_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS", "200000")
    shown = shown_by("ten_million_runs.ipynb", tmp_path)

    # Of 50 orders one has no items. Two failed and paused; both were cancelled.
    assert shown.number_before("transitions, each") == 4_000 + 2 + 3 * (200_000 - 4_000 - 2)
    assert "2 runs cancelled" in shown.printed
    assert shown.number_before("runs removed") == 200_000
    assert shown.number_before("MB of memory at most") < 2_000
    # A bar draws over itself, and leaves one line; a kernel without widgets says nothing of them.
    assert shown.told.count("\n") <= 1
    assert "idget" not in shown.told

    titles = " ".join(shown.pictures)
    for title in (
        "runs by status",
        "runs per second by status",
        "time at each",
        "how far runs got",
    ):
        assert f"orders: {title}" in titles
    assert "200k reached, 0 here" in titles or "2 here" in titles
    assert "no such coupon" in "".join(shown.last("text/html"))


def test_every_notebook_is_tested() -> None:
    names = {path.name for path in NOTEBOOKS.glob("*.ipynb")}
    assert names == {"first_workflow.ipynb", "ten_million_runs.ipynb"}

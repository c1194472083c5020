"""Each notebook can be executed from top to bottom, and shows what its text states."""

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


class Outputs:
    """The outputs of a notebook's cells."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self._outputs = [output for cell in cells for output in cell.get("outputs", ())]

    @property
    def stdout(self) -> str:
        return "".join(each["text"] for each in self._outputs if each.get("name") == "stdout")

    @property
    def stderr(self) -> str:
        """Return the text on stderr: warnings, and the progress bar."""
        return "".join(each["text"] for each in self._outputs if each.get("name") == "stderr")

    def displayed(self, mime: str) -> list[str]:
        """Return the displayed values in one format."""
        return [each["data"][mime] for each in self._outputs if mime in each.get("data", {})]

    @property
    def pictures(self) -> list[str]:
        """Return the text in each picture."""
        return [
            " ".join(re.findall(r">([^<>]+)</text>", html))
            for html in self.displayed("text/html")
            if "<svg" in html
        ]

    def number_before(self, words: str) -> int:
        found = re.search(rf"([\d,]+) {words}", self.stdout)
        assert found is not None, self.stdout
        return int(found[1].replace(",", ""))


def execute(name: str, folder: Path) -> Outputs:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(folder)}}).execute()
    return Outputs(notebook["cells"])


def test_the_first_workflow_runs(tmp_path: Path) -> None:
    outputs = execute("first_workflow.ipynb", tmp_path)
    assert "3 runs cancelled" in outputs.stdout

    tables = "".join(outputs.displayed("text/html"))
    assert "no such country" in tables
    assert "CH-P42" in tables

    graph, counts, *_ = outputs.pictures
    assert "of them failing" in graph
    assert "3 cancelled" in counts


def test_ten_million_runs_are_shown_with_what_they_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS", "200000")
    outputs = execute("ten_million_runs.ipynb", tmp_path)

    # One order in 50 has no items. Two failed, were paused, and then cancelled.
    assert outputs.number_before("transitions, each") == 4_000 + 2 + 3 * (200_000 - 4_000 - 2)
    assert "2 runs cancelled" in outputs.stdout
    assert outputs.number_before("runs and") == 200_000
    assert outputs.number_before("MB of memory at most") < 2_000
    # The bar overwrites its line. A kernel without widgets prints no warning about them.
    assert outputs.stderr.count("\n") <= 1
    assert "idget" not in outputs.stderr

    titles = " ".join(outputs.pictures)
    for title in (
        "runs by status",
        "runs per second by status",
        "time at each",
        "how far runs got",
    ):
        assert f"orders: {title}" in titles
    assert "200k reached, 0 here" in titles or "2 here" in titles
    assert "no such coupon" in "".join(outputs.displayed("text/html"))


def test_the_morning_after_finds_both_causes_and_repairs_exactly_these_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 31_500
    # One order in 35 is of nordlicht for Brazil; one in nine others is a card's at payquick.
    without_price = runs // 35
    unanswered = (runs - without_price) // 9
    monkeypatch.setenv("RUNS", str(runs))
    outputs = execute("the_morning_after.ipynb", tmp_path)

    assert outputs.number_before("runs were paused") == without_price + unanswered
    assert outputs.number_before("runs promoted") == without_price
    assert outputs.number_before("runs retried") == unanswered
    assert outputs.number_before("transitions to SHIPPED") == runs
    assert f"of {runs:,} orders" in outputs.stdout

    _, errors, _, no_prices, no_answers, rehearsal, moved, counts, check, _ = outputs.displayed(
        "text/plain"
    )
    assert "payquick did not answer in # s" in errors
    assert "no price for order #" in errors
    assert no_prices.splitlines()[1].startswith("supplier = 'nordlicht' AND country = 'BR'")
    assert no_answers.splitlines()[1].startswith("method = 'card' AND provider = 'payquick'")
    assert f"runs={without_price}" in rehearsal
    assert moved.splitlines()[1:] == [
        f"PRICED\tPAUSED\tSHIPPED\t{unanswered}",
        f"RECEIVED\tPAUSED\tSHIPPED\t{without_price}",
    ]
    assert counts.splitlines()[1:] == [f"SHIPPED\tCOMPLETED\t{runs}"]
    assert "problems=()" in check


def test_every_notebook_is_tested() -> None:
    names = {path.name for path in NOTEBOOKS.glob("*.ipynb")}
    assert names == {"first_workflow.ipynb", "ten_million_runs.ipynb", "the_morning_after.ipynb"}

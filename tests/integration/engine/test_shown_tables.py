"""The representation of relations, runs and reports in a notebook."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

import batchflow as bf
from batchflow.testing import FakeClock, inline_engine
from kit.things import Stage


@dataclass
class Note:
    number: int = 0
    text: str | None = None


NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def opened_engine() -> bf.Engine:
    workflow = bf.Workflow("notes", Note, Stage)
    workflow.add_step(Stage.NEW, lambda run: Stage.DONE, Stage.DONE)
    return inline_engine(workflow, clock=FakeClock())


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    with opened_engine() as opened:
        yield opened


@pytest.fixture(scope="module")
def empty() -> Iterator[bf.Engine]:
    """Return an engine without runs, for queries."""
    with opened_engine() as opened:
        yield opened


def cells(shown: str, tag: str = "td") -> list[str]:
    """Return the text of each cell; the HTML must be well-formed."""
    root = ElementTree.fromstring(shown)
    return ["".join(cell.itertext()) for cell in root.iter(tag)]


def styles(shown: str) -> list[bool]:
    """Return for each cell of the heading whether it is right-aligned."""
    root = ElementTree.fromstring(shown)
    return ["text-align:right" in cell.attrib["style"] for cell in root.iter("th")]


def test_a_relation_is_shown_as_a_table(empty: bf.Engine) -> None:
    shown = empty.sql("SELECT 1 AS one, 'a' AS letter, [1, NULL] AS list")._repr_html_()

    assert cells(shown, "th") == ["one", "letter", "list"]
    assert cells(shown) == ["1", "a", "[1, NULL]"]


def test_the_values_of_a_relation_are_escaped(empty: bf.Engine) -> None:
    name, value = "<script>\"&'", "<img src=x onerror='1'>\x01"
    shown = empty.sql(f"""SELECT ? AS "{name.replace('"', '""')}" """, [value])._repr_html_()

    assert cells(shown, "th") == [name]
    assert cells(shown) == [value.replace("\x01", "\ufffd")]
    assert "<script" not in shown
    assert "<img" not in shown


def test_a_null_differs_from_the_text_null(empty: bf.Engine) -> None:
    shown = empty.sql("SELECT NULL AS nothing, 'NULL' AS text")._repr_html_()

    nothing, text = ElementTree.fromstring(shown).iter("td")
    assert (nothing.text, [child.tag for child in nothing]) == (None, ["i"])
    assert (text.text, list(text)) == ("NULL", [])


def test_only_numbers_are_right_aligned(empty: bf.Engine) -> None:
    columns = "1 AS a, 1.5 AS b, 1.5::DOUBLE AS c, '1' AS d, [1] AS e, now() AS f, [1.5] AS g"

    shown = empty.sql(f"SELECT {columns}, 1::UHUGEINT AS h")._repr_html_()

    assert styles(shown) == [True, True, True, False, False, False, False, True]


@pytest.mark.parametrize(("rows", "more"), [(0, False), (20, False), (21, True)])
def test_the_first_rows_are_shown_and_whether_there_are_more(
    empty: bf.Engine, rows: int, more: bool
) -> None:
    shown = empty.sql(f"SELECT range AS n FROM range({rows})")._repr_html_()

    assert cells(shown) == [str(number) for number in range(min(rows, 20))]
    assert ("there are more" in shown) is more


def test_values_and_names_that_are_difficult_for_python_are_shown(empty: bf.Engine) -> None:
    shown = empty.sql(
        "SELECT 1 AS a, 2 AS A, 'infinity'::TIMESTAMPTZ, '\\x00'::BLOB, "
        "DATE '290000-01-01' -- the end"
    )._repr_html_()

    assert cells(shown) == ["1", "2", "infinity", "\\x00", "290000-01-01"]


@pytest.mark.parametrize("ending", [";", " ;; \n", "\n-- the end;"])
def test_a_query_may_end_with_a_semicolon_or_a_comment(empty: bf.Engine, ending: str) -> None:
    relation = empty.sql(f"SELECT 1 AS one{ending}")

    assert cells(relation._repr_html_()) == ["1"]
    assert "one" in repr(relation)
    assert relation.filter("one > 1").fetchall() == []


@pytest.mark.parametrize("query", ["EXPLAIN FROM notes.runs", "explain (analyze) SELECT '<a>'"])
def test_a_plan_keeps_its_line_breaks(empty: bf.Engine, query: str) -> None:
    relation = empty.sql(query)

    [drawn] = ElementTree.fromstring(f"<div>{relation._repr_html_()}</div>")
    assert drawn.tag == "pre"
    assert "│" in (drawn.text or "")
    assert "│" in repr(relation)


def test_a_long_value_is_shortened(empty: bf.Engine) -> None:
    [cell] = cells(empty.sql("SELECT repeat('x', 100_000)")._repr_html_())

    assert cell == "x" * 199 + "…"


def test_a_relation_with_parameters_is_shown(empty: bf.Engine) -> None:
    assert cells(empty.sql("SELECT $n + 1", {"n": 1})._repr_html_()) == ["2"]


def test_a_run_is_shown_with_its_object_after_the_store_is_closed(engine: bf.Engine) -> None:
    run = engine.get(engine.trigger("<a>", Note(7, None)))
    engine.close()

    shown = run._repr_html_()
    assert cells(shown, "th") == ["Note", ""]
    assert cells(shown) == ["number", "7", "text", "NULL"]
    assert cells(shown, "b") == ["<a> · NEW · INITIATED"]
    assert f"run {run.run_id} · version 1" in cells(shown, "small")[0]
    assert "Its history can't be read: The store is closed" in shown
    assert "number" not in repr(run)


def test_a_paused_or_waiting_run_says_so_first(engine: bf.Engine) -> None:
    run_id = engine.trigger("a", Note(7, None))
    engine.pause("true", reason="the <provider> is down")
    paused = engine.get(run_id)
    waiting = replace(
        paused, run_state=bf.RunState.RUNNING, reason=None, attempt=2, next_attempt_at=NOON
    )

    assert cells(paused._repr_html_(), "b") == ["a · NEW · PAUSED: the <provider> is down"]
    assert cells(waiting._repr_html_(), "b") == [
        "a · NEW · RUNNING · attempt 2 at 2030-05-06 12:00:00.000+00"
    ]


def test_a_run_is_shown_with_its_history_and_its_errors() -> None:
    def finish(run: bf.Run[Note, Stage]) -> Stage:
        if run.attempt < 3:
            raise ValueError(f"not <yet>: {run.attempt}")
        return Stage.DONE

    workflow = bf.Workflow("notes", Note, Stage, retry=bf.Retry(backoff_seconds=60, jitter=0))
    workflow.add_step(Stage.NEW, finish, Stage.DONE)
    with inline_engine(workflow, clock=FakeClock()) as engine:
        run_id = engine.trigger("a", Note(7))
        engine.run()
        early = engine.get(run_id)
        engine.run(wait_for_retries=True)
        shown, shown_early = engine.get(run_id)._repr_html_(), early._repr_html_()

    assert "NEW → DONE" in shown
    assert "+1 min" in shown
    assert shown.count("failed: ValueError</tspan>") == 2
    assert "not &lt;yet&gt;: 2" in shown
    # A run is a value, which later events don't change.
    assert "NEW → DONE" not in shown_early
    assert "not &lt;yet&gt;: 2" not in shown_early


def test_a_long_history_is_shown_with_its_beginning_and_its_end() -> None:
    def finish(run: bf.Run[Note, Stage]) -> Any:
        run.object.number += 1
        return run.repeat() if run.object.number < 100 else Stage.DONE

    workflow = bf.Workflow("notes", Note, Stage)
    workflow.add_step(Stage.NEW, finish, Stage.DONE)
    with inline_engine(workflow, clock=FakeClock()) as engine:
        run_id = engine.trigger("a", Note())
        engine.run()
        shown = engine.get(run_id)._repr_html_()

    assert "… 70 more: 70 repeated …" in shown
    assert "NEW → DONE" in shown


def test_without_recorded_transitions_the_failures_are_shown() -> None:
    def finish(run: bf.Run[Note, Stage]) -> Stage:
        if run.object.number < run.attempt:
            raise ValueError("no")
        return Stage.DONE

    workflow = bf.Workflow("notes", Note, Stage, record_transitions=False)
    workflow.add_step(Stage.NEW, finish, Stage.DONE)
    with inline_engine(workflow, clock=FakeClock()) as engine:
        failing, passing = engine.trigger("a", Note(0)), engine.trigger("b", Note(1))
        new = engine.get(passing)._repr_html_()
        engine.run()
        failed, passed = (engine.get(run_id) for run_id in (failing, passing))
        engine.run(wait_for_retries=True, limit=1)
        shown, shown_passed = failed._repr_html_(), passed._repr_html_()

    assert "aren't recorded" not in new
    assert "Its transitions aren't recorded" in shown_passed
    assert "Its transitions aren't recorded" in shown
    # The failure of the second attempt came later.
    assert shown.count("failed: ValueError</tspan>") == 1


def test_a_run_can_be_pickled_and_compared(engine: bf.Engine) -> None:
    run = engine.get(engine.trigger("a", Note(7)))
    again = pickle.loads(pickle.dumps(run))

    assert again == run == engine.get(run.run_id) == copy.deepcopy(run)
    assert "7" in again._repr_html_()
    assert asdict(run)["object"] == {"number": 7, "text": None}


def test_the_numbers_of_a_report_are_right_aligned(engine: bf.Engine) -> None:
    engine.trigger_many([Note(number) for number in range(3)], foreign_id="number")

    shown = engine.run()._repr_html_()

    assert cells(shown)[:3] == ["notes.DONE", "COMPLETED", "3"]
    assert styles(shown)[:3] == [False, False, True]

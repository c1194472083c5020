"""Any text is stored unchanged, or refused with a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.testing import inline_engine
from kit.effort import examples
from kit.things import Stage


@dataclass
class Thing:
    label: str = ""


AWKWARD = [
    *("", " ", "'", '"', "''", "\\", "\0", "a\0b", "\n", "\ud800", "🎉", "\ufeff", "\u202e", "%s"),
    *("'; DROP TABLE things.runs; --", "$now", "?", "$1", "NULL", "0", "-1", "nan", "x" * 100_000),
]
SQL = [
    *("1", "0", "NULL", "'a'", "status", "label", "nothing", "true", "false;", "true; SELECT 1"),
    *("true) OR (true", "true --", "true /*", "(SELECT 1", "1=1) UNION (SELECT 1", "count(*) > 0"),
    *("label = 'a", 'label = "a', "label LIKE", "error('x')", "1/0", "CAST('a' AS INT) = 1", ";"),
    *("getenv('HOME') = ''", "read_text('/etc/passwd') IS NULL", "$now > 0", "$other", "?", "$1"),
    *("nextval('x') > 0", "unnest([1])", "row_number() OVER () = 1", "TRUE\0", "\ud800", "🎉", ""),
    *("(" * 500, "NOT " * 2_000 + "true", "label = '" + "x" * 100_000 + "'", "seq IN (SELECT 1)"),
]
texts = st.sampled_from(AWKWARD) | st.text(max_size=20)
predicates = st.sampled_from(SQL) | st.text(max_size=12)


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    things = bf.Workflow("things", Thing, Stage)
    things.sql_step(Stage.NEW, to=[Stage.DONE], set={"label": "'done'"}, status=Stage.DONE)
    with inline_engine(things) as opened:
        opened.trigger("other", Thing("a"))
        yield opened


def counted(engine: bf.Engine) -> Any:
    query = "SELECT run_state::VARCHAR, count(*) FROM things.runs GROUP BY ALL ORDER BY ALL"
    return engine.sql(query).fetchall()


def require_clear(error: BaseException) -> None:
    """Check that an error has a message, and isn't an internal error of DuckDB."""
    assert str(error).strip()
    assert "INTERNAL" not in str(error)


def runs_of(engine: bf.Engine, foreign_id: str) -> list[Any]:
    """Return the runs of a foreign id that aren't cancelled, without putting it into SQL."""
    query = "SELECT * FROM things.runs WHERE run_state <> 'CANCELLED'"
    rows = engine.sql(query).to_arrow_table().to_pylist()
    return [row for row in rows if row["foreign_id"] == foreign_id]


@examples(25)
@given(texts)
def test_a_foreign_id_may_be_any_text(engine: bf.Engine, text: str) -> None:
    before = counted(engine)
    try:
        run_id = engine.trigger(text, Thing())
    except bf.BatchflowError as error:
        require_clear(error)
        assert counted(engine) == before
        return
    assert engine.get(run_id).foreign_id == text
    assert len(runs_of(engine, text)) == 1
    engine.cancel(run_ids=[run_id])


@examples(20)
@given(texts)
def test_a_loaded_foreign_id_may_be_any_text(engine: bf.Engine, text: str) -> None:
    try:
        source = pa.table({"key": [text], "label": [text]})
    except UnicodeEncodeError:
        return
    before = counted(engine)
    try:
        engine.trigger_many(source, foreign_id="key")
    except bf.LoadError as error:
        require_clear(error)
        assert counted(engine) == before
        return
    [row] = runs_of(engine, text)
    assert row["label"] == text
    engine.cancel(run_ids=[row["run_id"]])


@examples(20)
@given(texts)
def test_a_reason_may_be_any_text(engine: bf.Engine, text: str) -> None:
    try:
        assert engine.pause(where="foreign_id = 'other'", reason=text).changed == 1
    except bf.BatchflowError as error:
        require_clear(error)
        return
    [row] = runs_of(engine, "other")
    assert row["reason"] == text.encode("utf-8", "replace").decode()
    assert engine.resume(where="true").changed == 1


@examples(35)
@given(predicates)
@example("x" * 1_000_000)
def test_a_predicate_chooses_runs_or_is_refused(engine: bf.Engine, text: str) -> None:
    before = counted(engine)
    for control in (engine.pause, engine.resume):
        try:
            report = control(where=text)
        except bf.BatchflowError as error:
            require_clear(error)
            assert counted(engine) == before
        else:
            assert report.changed in (0, 1)
    engine.resume(where="true")
    assert sum(runs for _, runs in counted(engine)) == sum(runs for _, runs in before)


@examples(20)
@given(texts)
@example("DONE ")
@example("done")
def test_the_status_where_runs_begin_exists_or_is_refused(engine: bf.Engine, text: str) -> None:
    with pytest.raises(bf.BatchflowError) as refused:
        engine.trigger("new one", Thing(), at=text)  # type: ignore[arg-type]
    require_clear(refused.value)
    with pytest.raises(bf.BatchflowError) as refused:
        engine.trigger_many([Thing("new one")], foreign_id="label", at=text)
    require_clear(refused.value)
    assert not runs_of(engine, "new one")


@examples(20)
@given(texts | st.uuids().map(str))
def test_a_run_id_is_found_or_refused(engine: bf.Engine, text: str) -> None:
    for call in (engine.get, engine.history, lambda one: engine.cancel(run_ids=[one])):
        try:
            result = call(text)  # type: ignore[arg-type]
        except (bf.BatchflowError, TypeError, ValueError) as error:
            require_clear(error)
        else:
            assert getattr(result, "changed", 0) == 0
    assert counted(engine) == [("INITIATED", 1)]

"""A workflow works with any names, or is refused before anything is created."""

from __future__ import annotations

import enum
import itertools
import keyword
import unicodedata
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.definition.fields import ENGINE_COLUMNS
from batchflow.testing import inline_engine
from kit.effort import examples

AWKWARD = [
    *("select", "SELECT", "table", "order", "group", "from", "null", "true", "default", "end"),
    *("runs", "transitions", "errors", "batchflow", "main", "temp", "system", "pg_catalog"),
    *("information_schema", "seq", "status", "rowid", "run_id", "RUN_ID", "Seq", "object_seq"),
    *('"', "'", "''", '""', "`", "\\", "--", "/*", "*/", ";", "%", "$1", "?", "{}", "{0}", "%s"),
    *('"; DROP TABLE runs; --', "'; DROP TABLE runs; --", "x' OR '1'='1", "a.b", "a.b.c", "a b"),
    *(" ", " a", "a ", "1", "1a", "-", "+", "", "\0", "a\0b", "\n", "\r\n", "\t", "\x7f", "\ud800"),
    *(
        "é",
        "e\u0301",
        "ß",
        "SS",
        "İ",
        "\u0131",
        "K",
        "日本語",
        "🎉",
        "👨‍👩‍👧",
        "\u202e",
        "\u200b",
        "\ufeff",
    ),
    *("_", "__", "_a", "__a", "a_", "mro", "name", "value", "self", "cls", "x" * 200, "🎉" * 200),
    *("con", "NUL", "batchflow_staged", "#seq", "#to", "#set:a", "#written:a", "old.a", "new.a"),
    *("_batchflow_row", "_batchflow_columns", "workflow", "foreign_id", "excluded", "r", "s"),
]
names = st.sampled_from(AWKWARD) | st.text(max_size=8) | st.text(min_size=190, max_size=210)
identifiers = (
    st.sampled_from(AWKWARD)
    | st.sampled_from([*ENGINE_COLUMNS, *(f"object_{name}" for name in ENGINE_COLUMNS)])
    | st.from_regex(r"[^\W\d]\w{0,12}", fullmatch=True)
    | st.text("aAäÄsSßiİ\u0131Kk_", min_size=1, max_size=3)
)


@st.composite
def stages(draw: st.DrawFn) -> list[str]:
    return draw(st.lists(names, min_size=4, max_size=4, unique=True))


@st.composite
def fields(draw: st.DrawFn) -> list[str]:
    drawn = draw(st.lists(identifiers, min_size=1, max_size=4, unique=True))
    assume(all(name.isidentifier() and not keyword.iskeyword(name) for name in drawn))
    return drawn


def classes(stages: list[str], fields: list[str]) -> tuple[Any, Any] | None:
    """Return classes with these names, or None if Python doesn't allow such names."""
    try:
        stage: Any = enum.Enum("Stage", stages)
        thing = make_dataclass("Thing", [(name, str, "x") for name in fields])
    except (ValueError, TypeError, AttributeError):
        return None
    return (stage, thing) if len(stage) == len(stages) else None


def workflow_of(workflow: str, stage: Any, thing: Any, fields: list[str]) -> bf.Workflow[Any, Any]:
    """Return a workflow whose three steps double each field: a row, a batch and a SQL step."""
    begun, batched, stored, ended = stage
    made: bf.Workflow[Any, Any] = bf.Workflow(workflow, thing, stage)

    def by_row(run: bf.Run[Any, Any]) -> Any:
        for name in fields:
            setattr(run.object, name, getattr(run.object, name) * 2)
        return batched

    def by_batch(batch: bf.Batch[Any, Any]) -> Any:
        for name in fields:
            batch[name] = batch[name] * 2
        return [stored.name] * len(batch)

    made.add_step(begun, by_row, batched)
    made.add_step(batched, by_batch, stored, batch=True)
    columns = {one.name: quoted(one.column) for one in made.fields}
    doubled = {name: f"{columns[name]} || {columns[name]}" for name in fields}
    made.sql_step(stored, to=[ended], set=doubled, status=ended)
    return made


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def check_works(workflow: str, stages: list[str], fields: list[str], foreign_id: str) -> None:
    """Use every operation on the workflow, unless its definition is refused."""
    found = classes(stages, fields)
    if found is None:
        return
    try:
        definition = workflow_of(workflow, *found, fields)
        definition.check()
    except bf.DefinitionError:
        return
    schema = quoted(workflow)
    with inline_engine(definition) as engine:
        columns = dict.fromkeys(fields, "y")
        keys = [f"{foreign_id}0", f"{foreign_id}1"]
        source = pa.table({"the key": keys, **{name: ["y"] * 2 for name in fields}})
        engine.trigger_many(source, foreign_id="the key")
        assert engine.counts().fetchall() == [(stages[0], "INITIATED", 2)]
        run_id = engine.trigger(foreign_id, definition.object_type(**columns))
        engine.pause(where=f"foreign_id = '{escaped(foreign_id)}1'", reason=foreign_id)
        report = engine.run()
        assert not report.failures
        assert not engine.errors().fetchall()
        run = engine.get(run_id)
        assert (run.status.name, vars(run.object)) == (
            stages[3],
            dict.fromkeys(fields, "y" * 8),
        )
        assert run.foreign_id == foreign_id
        log = engine.history(run_id).select("from_status::VARCHAR, to_status::VARCHAR").fetchall()
        assert log == list(itertools.pairwise(stages))
        reasons = engine.sql(f"SELECT reason FROM {schema}.runs WHERE run_state = 'PAUSED'")
        assert reasons.fetchall() == [(foreign_id,)]
        assert engine.resume(where="true").changed == 1
        engine.run()
        assert engine.counts().fetchall() == [(stages[3], "COMPLETED", 3)]
        assert engine.sql(f"SELECT count(*) FROM {schema}.transitions").fetchall() == [(11,)]
        assert engine.runs(f"{quoted(definition.fields[0].column)} <> 'z'").fetchall()


def escaped(text: str) -> str:
    return text.replace("'", "''")


STAGES = ["NEW", "BATCHED", "STORED", "ENDED"]


@examples(5)
@given(names)
def test_a_workflow_may_have_any_name(name: str) -> None:
    check_works(name, STAGES, ["name"], "f")


@examples(5)
@given(stages())
def test_statuses_may_have_any_names(stages: list[str]) -> None:
    check_works("things", stages, ["name"], "f")


@pytest.mark.parametrize("at", range(0, len(AWKWARD) - 3, 4))
def test_statuses_may_have_awkward_names(at: int) -> None:
    check_works("things", AWKWARD[at : at + 4], ["name"], AWKWARD[at])


def usable(workflow: str) -> bf.Workflow[Any, Any] | None:
    found = classes(STAGES, ["name"])
    assert found is not None
    try:
        return workflow_of(workflow, *found, ["name"])
    except bf.DefinitionError:
        return None


def test_workflows_with_awkward_names_share_one_store(tmp_path: Path) -> None:
    path = str(tmp_path / "store.duckdb")
    definitions = [one for name in AWKWARD[::3] if (one := usable(name)) is not None]
    different = {one.name.casefold(): one for one in definitions}.values()
    assert len(different) > 20
    with inline_engine(*different, path=path) as engine:
        for one in different:
            source = pa.table({"name": [f"{one.name}x"]})
            engine.trigger_many(source, foreign_id="name", workflow=one.name)
        engine.run()
    with inline_engine(*different, path=path) as engine:
        for one in different:
            found = engine.sql(f"SELECT name, status::VARCHAR FROM {quoted(one.name)}.runs")
            assert found.fetchall() == [(f"{one.name}x" * 8, "ENDED")]


def test_workflows_whose_names_differ_only_in_case_are_refused() -> None:
    one, other = usable("things"), usable("THINGS")
    with pytest.raises(bf.BatchflowError, match="THINGS"):
        inline_engine(one, other).close()  # type: ignore[arg-type]


@examples(5)
@given(fields())
@example(["_batchflow_row"])
@example(["_batchflow_columns"])
@example(["__class__"])
@example(["__dict__"])
@example(["__slots__"])
@example(["__init__"])
@example(["__reduce_ex__"])
@example(["seq", "object_seq"])
@example(["self", "cls", "mro"])
def test_fields_may_have_any_names(fields: list[str]) -> None:
    check_works("things", STAGES, fields, "f")


def test_fields_with_awkward_names_share_one_table() -> None:
    names = [one for one in AWKWARD if one.isidentifier() and not keyword.iskeyword(one)]
    # Python treats names with the same NFKC form as equal.
    named = {unicodedata.normalize("NFKC", name).casefold(): name for name in names}
    different = {key: name for key, name in named.items() if not name.startswith("_batchflow")}
    assert len(different) > 30
    check_works("things", STAGES, list(different.values()), "f")

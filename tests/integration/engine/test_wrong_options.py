"""Any option of any question or operation may be given a wrong value: the error is batchflow's."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchflow as bf


class Status(enum.Enum):
    NEW = enum.auto()
    DONE = enum.auto()


class Level(enum.Enum):
    LOW = enum.auto()
    HIGH = enum.auto()


@dataclass
class Thing:
    x: int = 0
    level: Level = Level.LOW


# Values that aren't allowed anywhere: of a wrong type, too long ago, or outside of all time zones.
WRONG: tuple[Any, ...] = (
    object(),
    int,
    2.5,
    float("nan"),
    b"bytes",
    "a\0b",
    ["no such", object()],
    {1: 2},
    timedelta(days=999_999),
    timedelta(days=-1),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    -1,
)

# They take a request or a plan that batchflow makes, or would move the runs.
NOT_ASKED = {"perform", "rehearse_plan", "run", "start"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    workflow = bf.Workflow("things", Thing, Status)

    @workflow.step(Status.NEW, to=Status.DONE)
    def step(run: bf.Run[Thing, Status]) -> Status:
        raise ValueError("no")

    path = tmp_path_factory.mktemp("store") / "s.duckdb"
    with bf.Engine(path, workflow, workers=0) as opened:
        opened.trigger("one", Thing())
        opened.run(progress=False)
        yield opened


def right_values(folder: Path) -> dict[str, Any]:
    return {
        "query": "SELECT 1",
        "run": "one",
        "foreign_id": "two",
        "object": Thing(),
        "source": [],
        "where": "x = 1",
        "set": {"x": "1"},
        "since": timedelta(days=1),
        "finished_before": timedelta(days=1),
        "folder": folder / "repro",
        "to": folder / "out.parquet",
        "number": 1,
    }


def methods() -> Iterator[str]:
    for name, method in inspect.getmembers(bf.Engine, inspect.isfunction):
        if not name.startswith("_") and name not in NOT_ASKED and len(parameters_of(method)) > 0:
            yield name


def parameters_of(method: Any) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    }


@pytest.mark.parametrize("method", sorted(methods()))
def test_a_wrong_value_is_refused_with_an_error_of_batchflow(
    engine: bf.Engine, method: str, tmp_path: Path
) -> None:
    ask = getattr(engine, method)
    parameters = parameters_of(ask)
    right = right_values(tmp_path)
    needed = {name for name, each in parameters.items() if each.default is each.empty}
    unexpected = []
    for option in parameters:
        for value in WRONG:
            given = {**{name: right[name] for name in needed}, option: value}
            if method == "wait":
                given.setdefault("timeout_seconds", 0)
            try:
                answer = ask(**given)
                if isinstance(answer, bf.Relation):
                    answer.fetchall()
            except (bf.BatchflowError, TimeoutError):
                pass
            except Exception as error:
                unexpected.append(f"{method}({option}={value!r}): {error!r}")
    assert not unexpected


# What is made with options, and those that have no default.
MADE: dict[type, dict[str, Any]] = {
    bf.Engine: {"path": ":memory:"},
    bf.EngineConfig: {},
    bf.ProcessPool: {},
    bf.RayExecutor: {},
    bf.Listen: {"certificate": "a.pem", "key": "a.key", "token": "x" * 16},
    bf.Stores: {"path": "night-{shard}.duckdb", "shards": 2},
}


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_what_is_made_with_a_wrong_option_names_it(made: type) -> None:
    workflow = bf.Workflow("things", Thing, Status)
    with_workflow = made in {bf.Engine, bf.Stores}
    for option, parameter in inspect.signature(made).parameters.items():
        if parameter.kind is not parameter.VAR_POSITIONAL:
            given = {**MADE[made], option: object()}
            with pytest.raises(bf.InvalidOptionError, match=option) as caught:
                made(*[given.pop("path"), workflow] if with_workflow else [], **given)
            assert caught.value.option == option


def test_an_option_that_is_true_or_false_takes_nothing_else(
    engine: bf.Engine, tmp_path: Path
) -> None:
    right, asked = right_values(tmp_path), [*methods(), "run"]
    for method in asked:
        parameters = parameters_of(getattr(bf.Engine, method))
        needed = {
            name: right[name] for name, each in parameters.items() if each.default is each.empty
        }
        needed |= {"where": "true"} if "where" in parameters else {}
        needed |= {"since": "nightly", "to": "here"} if method == "begin_export" else {}
        for option in (name for name, each in parameters.items() if "bool" in str(each.annotation)):
            for value in ("no", 1, np.False_):
                with pytest.raises(bf.InvalidOptionError, match=f"^{option} is .* True"):
                    getattr(engine, method)(**{**needed, option: value})


@pytest.mark.parametrize(
    "option", ["limit", "until", "canary", "canary_failures", "rerun_share", "progress"]
)
def test_a_drain_names_its_wrong_option(engine: bf.Engine, option: str) -> None:
    for value in ("no", -1, float("nan"), object()):
        with pytest.raises(bf.InvalidOptionError, match=f"^{option} is "):
            engine.run(**{option: value})


@pytest.mark.parametrize("option", ["since", "until"])
def test_a_time_before_the_year_1_is_named(engine: bf.Engine, option: str) -> None:
    with pytest.raises(bf.InvalidOptionError, match=f"{option} is .* before the year 1"):
        engine.errors(**{option: timedelta(days=999_999)})  # type: ignore[arg-type]


def test_the_moment_of_a_question_may_be_the_first_one(engine: bf.Engine) -> None:
    assert engine.counts(as_of=datetime.min.replace(tzinfo=UTC)).fetchall() == []


def test_a_comparison_needs_its_first_moment(engine: bf.Engine) -> None:
    with pytest.raises(bf.InvalidOptionError, match="since is None"):
        engine.diff(None)  # type: ignore[arg-type]


def test_a_test_for_a_failure_needs_a_folder_that_can_be_written(
    engine: bf.Engine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(bf.ExportError, match="can't be written"):
        engine.repro("one", tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("level", "'HIHG'", r"'level' takes Level \(LOW, HIGH\)"),
        ("level", "'HIHG'", r"Did you mean 'HIGH'\?"),
        ("x", "1e30::HUGEINT", "'x' .* int"),
    ],
)
def test_a_value_that_an_edit_can_not_convert_is_answered_with_what_the_field_takes(
    engine: bf.Engine, field: str, value: str, expected: str
) -> None:
    with pytest.raises(bf.QueryError, match=expected):
        engine.edit("true", set={field: value})


def test_mappings_without_the_column_of_foreign_ids_are_refused_as_other_sources_are(
    engine: bf.Engine,
) -> None:
    with pytest.raises(bf.SourceError, match=r"list has no column 'kye'.*columns are 'key', 'x'"):
        engine.trigger_many([{"key": "a", "x": "wrong"}], foreign_id="kye")


def test_a_rehearsal_names_its_own_option_for_a_field_that_there_is_not(engine: bf.Engine) -> None:
    with pytest.raises(bf.InvalidOptionError, match="reset names 'levl', which is no field"):
        engine.rehearse("true", reset={"levl": 1})

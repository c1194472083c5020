"""A step may return anything: an invalid answer fails its runs alone, and is described."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hostile_objects import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.testing import inline_engine
from kit.effort import examples


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"
    BAD = "bad"
    ELSEWHERE = "elsewhere"


class Namesakes:
    Stage = enum.Enum("Stage", {"NEW": "new", "DONE": "done", "BAD": "bad"}, qualname="Stage")


class Numbers(enum.IntEnum):
    DONE = 1


# These aren't valid answers of a row step, nor for one run of a batch step.
NONSENSE: dict[str, Callable[[], Any]] = {
    **HOSTILE,
    "undeclared": lambda: Stage.ELSEWHERE,
    "its own": lambda: Stage.NEW,
    "of a namesake": lambda: Namesakes.Stage.DONE,
    "of another enum": lambda: Numbers.DONE,
    "the enum": lambda: Stage,
    "true": lambda: True,
    "minus one": lambda: -1,
    "a code too many": lambda: 17,
    "huge int": lambda: 2**70,
    "infinity": lambda: float("inf"),
    "complex": lambda: 1j,
    "empty text": lambda: "",
    "another text": lambda: "secret",
    "value of a member": lambda: "done",
    "half a surrogate pair": lambda: "DONE\ud800",
    "nul": lambda: "DONE\0",
    "100 MB of text": lambda: "x" * 100_000_000,
    "bytes": lambda: b"DONE",
    "list": lambda: [Stage.DONE],
    "tuple": lambda: (Stage.DONE, "why"),
    "dict": lambda: {"status": Stage.DONE},
    "array": lambda: np.array([Stage.DONE]),
    "masked array": lambda: np.ma.MaskedArray([1, 2], [True, False]),
    "Arrow array": lambda: pa.array(["DONE"]),
    "exception": lambda: ValueError("returned, not raised"),
    "exception class": lambda: ValueError,
}
# These aren't valid for a row step either; in a column they are nulls, codes or names.
NO_ANSWERS_OF_A_ROW: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "nan": lambda: float("nan"),
    "name": lambda: "DONE",
    "code": lambda: 1,
    "NA": lambda: pd.NA,
    "not a time": lambda: np.datetime64("NaT"),
}
# These are answers for a whole batch, which has one run here.
COLUMNS_OF_ONE = {"list", "array", "Arrow array"}
NO_COLUMNS: dict[str, Callable[[], Any]] = {
    **{name: make for name, make in NONSENSE.items() if name not in COLUMNS_OF_ONE},
    "none": lambda: None,
    "nan": lambda: float("nan"),
    "not a time": lambda: np.datetime64("NaT"),
    "too few": list,
    "too many": lambda: [Stage.DONE] * 5,
    "two dimensions": lambda: np.full((3, 3), Stage.DONE),
    "masked, two dimensions": lambda: np.ma.zeros((3, 3)),
    "no dimension": lambda: np.array(object()),
    "structured": lambda: np.zeros(3, [("a", "i4")]),
    "complex numbers": lambda: np.zeros(3, complex),
    "bools": lambda: np.ones(3, bool),
    "times": lambda: np.zeros(3, "M8[s]"),
    "numbers beyond all codes": lambda: np.full(3, 2**64 - 1, np.uint64),
    "endless numbers": lambda: np.full(3, np.inf),
    "Arrow: null": lambda: pa.scalar(None),
    "Arrow: no chunks": lambda: pa.chunked_array([], pa.string()),
    "Arrow: structs": lambda: pa.array([{"a": 1}] * 3),
    "Arrow: lists": lambda: pa.array([["DONE"]] * 3),
    "Arrow: views of lists": lambda: pa.array([["DONE"]] * 3, pa.list_view(pa.string())),
    "Arrow: map": lambda: pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    "Arrow: bools": lambda: pa.array([True] * 3),
    "Arrow: durations": lambda: pa.array([1] * 3, pa.duration("s")),
    "Arrow: UUIDs": lambda: pa.array([b"a" * 16] * 3, pa.uuid()),
    "Arrow: union": lambda: pa.UnionArray.from_sparse(
        pa.array([0, 0, 0], pa.int8()), [pa.array(["DONE"] * 3)]
    ),
    "Arrow: no text": lambda: pa.array([b"\xff"] * 3).view(pa.string()),
    "Arrow: table": lambda: pa.table({"status": ["DONE"] * 3}),
    "Arrow: batch": lambda: pa.record_batch({"status": ["DONE"] * 3}),
    "pandas: frame": lambda: pd.DataFrame({"status": ["DONE"] * 3}),
    "pandas: intervals": lambda: pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3])),
    "Polars: frame": lambda: pl.DataFrame({"status": ["DONE"] * 3}),
    "Polars: structs": lambda: pl.Series([{"a": 1}] * 3),
    "Polars: objects": lambda: pl.Series([object()] * 3, dtype=pl.Object),
}
PEACEFUL = 20


@dataclass
class Thing:
    key: int
    answer: str = ""
    example: int = 0
    name: str = ""


OF_A_ROW = {**NONSENSE, **NO_ANSWERS_OF_A_ROW}


def by_row(run: bf.Run[Thing, Stage]) -> Any:
    return OF_A_ROW[run.object.answer]() if run.object.answer else Stage.DONE


async def by_row_async(run: bf.Run[Thing, Stage]) -> Any:
    return by_row(run)


def by_column(batch: bf.Batch[Thing, Stage]) -> Any:
    return [NONSENSE[answer]() if answer else Stage.DONE for answer in batch["answer"]]


def by_batch(batch: bf.Batch[Thing, Stage]) -> Any:
    return NO_COLUMNS[batch["answer"][0]]() if batch["answer"][0] else Stage.DONE


WAYS: dict[str, tuple[Callable[..., Any], dict[str, Callable[[], Any]], dict[str, Any]]] = {
    "row": (by_row, OF_A_ROW, {}),
    "threads": (by_row, OF_A_ROW, {"threads": 3}),
    "asynchronous": (by_row_async, OF_A_ROW, {}),
    "column": (by_column, NONSENSE, {"batch": True}),
    "batch": (by_batch, NO_COLUMNS, {"batch": True, "chunk_rows": 1}),
}


def workflow(name: str) -> bf.Workflow[Thing, Stage]:
    made = bf.Workflow(name, Thing, Stage, retry=bf.Retry(pause_after=1))
    function, _, options = WAYS[name]
    made.add_step(Stage.NEW, function, Stage.DONE, Stage.BAD, **options)
    return made


@pytest.mark.usefixtures("pandas_in_children")
@pytest.mark.parametrize("workers", [0, 1])
def test_any_invalid_answer_fails_only_its_runs(workers: int) -> None:
    with bf.Engine(":memory:", *map(workflow, WAYS), workers=workers) as engine:
        for name, (_, nonsense, _) in WAYS.items():
            answers = [*nonsense, *[""] * PEACEFUL]
            things = [Thing(key, answer) for key, answer in enumerate(answers)]
            engine.trigger_many(things, foreign_id="key", workflow=name)
        engine.run()
        for name, (_, nonsense, _) in WAYS.items():
            left = engine.sql(f"SELECT answer FROM \"{name}\".runs WHERE status <> 'DONE'")
            assert sorted(answer for (answer,) in left.fetchall()) == sorted(nonsense), name
            recorded = engine.sql(
                f'SELECT answer, type, message FROM "{name}".errors JOIN "{name}".runs '
                "USING (run_id)"
            ).fetchall()
            assert sorted(answer for answer, _, _ in recorded) == sorted(nonsense), name
            for answer, kind, message in recorded:
                assert (name, answer, kind) == (name, answer, "InvalidOutcome")
                assert "answered with" in message
                assert "allowed are DONE, BAD, and" in message
                assert "secret" not in message
                assert len(message) < 500


# A model of answers: their meaning for a row step, and in the column of a batch step.
GOOD: list[tuple[Any, str]] = [(Stage.DONE, "DONE"), (Stage.BAD, "BAD")]
IN_COLUMNS: list[tuple[Any, str]] = [
    *GOOD,
    (None, "stays"),
    (float("nan"), "stays"),
    (pd.NA, "stays"),
    (np.datetime64("NaT"), "stays"),
    ("DONE", "DONE"),
    (np.str_("BAD"), "BAD"),
    # A number isn't a status; `batch.codes` takes codes.
    (1, "fails"),
    (np.int8(2), "fails"),
    (2.0, "fails"),
]
nonsense = st.sampled_from(sorted(NONSENSE.keys() - {"100 MB of text"}))
Step = Callable[..., Any]


class Becoming:
    """Executes the steps of all examples in one engine, each for new runs."""

    def __init__(self) -> None:
        self.step: Step = by_row
        self._examples = itertools.count()
        workflows = (self._workflow("rows", batch=False), self._workflow("batches", batch=True))
        self._engine = inline_engine(*workflows)

    def _workflow(self, name: str, *, batch: bool) -> bf.Workflow[Thing, Stage]:
        def step(given: Any) -> Any:
            return self.step(given)

        made = bf.Workflow(name, Thing, Stage, retry=bf.Retry(pause_after=1))
        made.add_step(Stage.NEW, step, Stage.DONE, Stage.BAD, batch=batch)
        return made

    def becomes(self, answered: Sequence[Any], step: Step, workflow: str) -> list[str]:
        """Return the status that each run advanced to, or that it failed or stays."""
        self.step, example = step, next(self._examples)
        keys = range(len(answered))
        things = [Thing(key, example=example, name=f"{example}-{key}") for key in keys]
        self._engine.trigger_many(things, foreign_id="name", workflow=workflow)
        self._engine.run()
        rows = self._engine.sql(
            "SELECT CASE WHEN status <> 'NEW' THEN status::VARCHAR "
            f"WHEN run_state = 'PAUSED' THEN 'fails' ELSE 'stays' END FROM {workflow}.runs "
            f"WHERE example = {example} ORDER BY key"
        ).fetchall()
        self._engine.cancel("status = 'NEW'", workflow=workflow)
        return [became for (became,) in rows]

    def close(self) -> None:
        self._engine.close()


@pytest.fixture(scope="module")
def becoming() -> Iterator[Becoming]:
    made = Becoming()
    yield made
    made.close()


@examples(12)
@given(st.lists(st.sampled_from(GOOD) | nonsense, min_size=1, max_size=20))
def test_the_answers_of_a_row_step_agree_with_the_model(
    becoming: Becoming, answers: list[Any]
) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Any:
        answer = answers[run.object.key]
        return NONSENSE[answer]() if isinstance(answer, str) else answer[0]

    expected = ["fails" if isinstance(answer, str) else answer[1] for answer in answers]
    assert becoming.becomes(answers, step, "rows") == expected


@examples(12)
@given(
    st.lists(st.sampled_from(IN_COLUMNS) | nonsense, min_size=1, max_size=20),
    st.sampled_from([list, tuple, iter, pd.Series, "object array", "masked array"]),
)
def test_a_column_of_answers_agrees_with_the_model(
    becoming: Becoming, answers: list[Any], form: Any
) -> None:
    def step(batch: bf.Batch[Thing, Stage]) -> Any:
        chosen = [answers[key] for key in batch["key"]]
        values = [NONSENSE[one]() if isinstance(one, str) else one[0] for one in chosen]
        if callable(form) and form is not pd.Series:
            return form(values)
        array = np.fromiter(values, object, len(values))
        if form == "object array":
            return array
        if form is pd.Series:
            return pd.Series(array)
        return np.ma.MaskedArray(array, [key % 3 == 0 for key in batch["key"]])

    expected = ["fails" if isinstance(answer, str) else answer[1] for answer in answers]
    if form == "masked array":
        expected = ["stays" if key % 3 == 0 else one for key, one in enumerate(expected)]
    assert becoming.becomes(answers, step, "batches") == expected

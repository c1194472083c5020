"""A step may leave any value in any field: values that fit are stored, others fail their run."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fitting_model import LONGEST, Colour, Part, Unfit, stored
from hostile_objects import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.testing import inline_engine
from kit.effort import examples
from kit.things import Stage

PEACEFUL = 5
NAIVE = (dt.datetime.min, dt.datetime.max)  # noqa: DTZ901 - naive ones are meant


class Namesakes:
    Colour = enum.Enum("Colour", {"RED": "r", "GREEN": "g"})


@dataclass
class Thing:
    key: int
    into: str = ""
    value: str = ""
    whole: int = 0
    flag: bool = False
    price: float = 0.0
    amount: Annotated[Decimal, bf.Precision(9, 2)] = Decimal(0)
    name: str = ""
    raw: bytes = b""
    day: dt.date = dt.date(2020, 1, 1)
    at: dt.datetime = dt.datetime(2020, 1, 1)  # noqa: DTZ001
    at_utc: Annotated[dt.datetime, bf.UTC] = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    took: dt.timedelta = dt.timedelta(0)
    id: uuid.UUID = field(default_factory=lambda: uuid.UUID(int=1))
    colour: Colour = Colour.RED
    part: Part = field(default_factory=lambda: Part("a"))
    tags: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    deep: dict[str, list[Part | None] | None] = field(default_factory=dict)
    maybe_name: str | None = None
    maybe_whole: int | None = None
    maybe_part: Part | None = None


FIELDS = [one.name for one in fields(Thing)][3:]
OPTIONAL = {"maybe_name", "maybe_whole", "maybe_part"}


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def without_a_field() -> Part:
    made = Part("a")
    del made.sku
    return made


# Values on both sides of each limit, created anew each time, as a step creates them.
VALUES: dict[str, Callable[[], Any]] = {
    # Python warns of coroutines that are never awaited, wherever they are.
    **{key: make for key, make in HOSTILE.items() if "coroutine" not in key},
    **{
        repr(value)[:60]: (lambda value=value: value)
        for value in (
            *(None, True, False, 0, -1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**70),
            *(0.0, -0.0, 1.5, 1e308, float("inf"), float("-inf"), float("nan"), 10**400, 1j),
            *(
                "",
                "text",
                "a\0b",
                "\ud800",
                "a\udfffb",
                "ÿ🎉",
                "RED",
                "r",
                "2020-01-01",
                "x" * 10_000,
            ),
            *(b"", b"\0\xff", bytearray(b"ab"), memoryview(b"abc")),
            *map(
                Decimal,
                (
                    "0",
                    "-0.01",
                    "9999999.99",
                    "10000000",
                    "0.001",
                    "1e5",
                    "1e999999",
                    "0e-99",
                    "NaN",
                ),
            ),
            *(Decimal("sNaN"), Decimal("Infinity")),
            *(dt.date.min, dt.date.max, *NAIVE, dt.time(1)),
            dt.datetime.min.replace(tzinfo=dt.UTC),
            dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-23))),
            dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=23, minutes=59))),
            dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(microseconds=1))),
            *(dt.timedelta(0), LONGEST, -LONGEST, LONGEST + dt.timedelta.resolution),
            *(dt.timedelta.max, dt.timedelta.min),
            *(uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), *Colour, Namesakes.Colour.RED, Colour),
            *(
                np.int8(-5),
                np.uint64(2**64 - 1),
                np.float32(0.5),
                np.float64("nan"),
                np.bool_(True),
            ),
            *(np.str_("text"), np.bytes_(b"ab"), np.array([1, 2]), np.array(5)),
            *(pd.NA, pd.NaT, pd.Timestamp("2020-01-01"), pd.Timestamp(1), pd.Timedelta(1)),
            *(pd.Timestamp("2020-01-01", tz="Europe/Berlin"), pa.scalar(5), pa.array([5])),
            *(Part("a"), Part("", -1, Colour.GREEN), Part(5), Part("a", 2**70)),  # type: ignore[arg-type]
            *(Part("\ud800"), Part("a", 1, Namesakes.Colour.RED), Part(None), Part),  # type: ignore[arg-type]
            *([], ["a"], ["a", None], ["a", 5], ["\ud800"], [["a"]], ("a",), {"a"}),
            *([Part("a"), Part("b", 2)], [Part("a"), None], [Part("a"), Part(b"b")]),  # type: ignore[arg-type]
            *(
                {},
                {"a": 1},
                {"a": None},
                {"a": 2**63},
                {"\ud800": 1},
                {5: 1},
                {None: 1},
                {"a": "b"},
            ),
            *({"a": None, "b": []}, {"a": [Part("a"), None]}, {"a": [None, Part("b", 0.5)]}),  # type: ignore[arg-type]
            {"sku": "a", "number": 1, "colour": None},
        )
    },
    "without a field": without_a_field,
}
NAMES = list(VALUES)
# These may or may not be readable.
MAY_BE_READ = {"hostile list", "hostile dict"}


def expected(way: str, field_name: str, value_name: str) -> Any:
    value = VALUES[value_name]()
    # pandas fills the gaps of any column with NaN.
    is_float = type(value) is float or type(value) is np.float64
    if way == "columns" and field_name in OPTIONAL and is_float:
        return None if math.isnan(value) else Unfit
    return stored(field_name, value)


def assigning(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.value:
        setattr(run.object, run.object.into, VALUES[run.object.value]())
    return Stage.DONE


def replacing(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.value:
        left = Thing(run.object.key, run.object.into, run.object.value)
        setattr(left, run.object.into, VALUES[run.object.value]())
        run.object = left
    return Stage.DONE


def in_columns(batch: bf.Batch[Thing, Stage]) -> Stage:
    for name in set(filter(None, batch["into"])):
        column = batch[name].astype(object)
        if name == "at_utc":
            column = [one.replace(tzinfo=dt.UTC) for one in column]
        chosen = zip(column, batch["into"], batch["value"], strict=True)
        batch[name] = [VALUES[value]() if one == name else old for old, one, value in chosen]
    return Stage.DONE


WAYS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "assigning": (assigning, {}),
    "replacing": (replacing, {"threads": 2}),
    "columns": (in_columns, {"batch": True}),
}


def workflow(name: str) -> bf.Workflow[Thing, Stage]:
    function, options = WAYS[name]
    made = bf.Workflow(name, Thing, Stage, retry=bf.Retry(pause_after=1))
    made.add_step(Stage.NEW, function, Stage.DONE, **options)
    return made


def check(engine: bf.Engine, name: str, things: list[Thing]) -> None:
    """Compare the outcome and the stored value of each run with the model."""
    runs = engine.sql(f'SELECT key, run_id, status FROM "{name}".runs').fetchall()
    failures = engine.sql(f'SELECT run_id, type, message FROM "{name}".errors').fetchall()
    recorded = {run_id: (kind, message) for run_id, kind, message in failures}
    assert len(runs) == len(things)
    wrong = []
    for key, run_id, status in runs:
        thing = things[key]
        model = expected(name, thing.into, thing.value) if thing.value else None
        if model is Unfit:
            kind, message = recorded.get(run_id, ("", ""))
            # A value that can't be copied, or compared, fails in the step itself.
            clear = kind != "InvalidObject" or f"in field {thing.into!r}; it takes" in message
            right = status == "NEW" and kind and clear and len(message) < 500
        elif not thing.value:
            right = status == "DONE"
        elif thing.value in MAY_BE_READ and status == "NEW":
            right = run_id in recorded
        else:
            left = getattr(engine.get(run_id).object, thing.into) if status == "DONE" else Unfit
            right = status == "DONE" and alike(left, model)
        if not right:
            wrong.append((name, thing.into, thing.value, model, status, recorded.get(run_id)))
    assert not wrong


# Inline, each pair is tested; in processes, where only the transport differs, every seventh.
@pytest.mark.usefixtures("pandas_in_children")
@pytest.mark.parametrize(
    ("workers", "nth", "names"),
    [*((0, 1, [name]) for name in WAYS), (1, 7, [*WAYS])],
    ids=[*WAYS, "in a worker"],
)
def test_values_that_fit_are_stored_and_all_others_fail_only_their_run(
    workers: int, nth: int, names: list[str]
) -> None:
    chosen = [(one, value) for one in FIELDS for value in NAMES][::nth] + [("", "")] * PEACEFUL
    things = [Thing(key, one, value) for key, (one, value) in enumerate(chosen)]
    with bf.Engine(":memory:", *map(workflow, names), workers=workers) as engine:
        for name in names:
            engine.trigger_many(things, foreign_id="key", workflow=name)
        engine.run()
        for name in names:
            check(engine, name, things)


@examples(10)
@given(st.data())
def test_the_result_depends_on_the_value_alone_and_not_on_its_chunk(data: st.DataObject) -> None:
    pairs = st.tuples(st.sampled_from(FIELDS), st.sampled_from(NAMES))
    chosen = data.draw(st.lists(pairs | st.just(("", "")), min_size=1, max_size=12))
    name = data.draw(st.sampled_from(sorted(WAYS)))
    things = [Thing(key, *pair) for key, pair in enumerate(chosen)]
    with inline_engine(workflow(name)) as engine:
        engine.trigger_many(things, foreign_id="key")
        engine.run()
        check(engine, name, things)

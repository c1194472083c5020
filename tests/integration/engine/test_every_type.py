"""Values of each supported type go through steps of each kind, in one process and in a pool."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest

import batchflow as bf

NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=dt.UTC)
LOCAL = NOON.replace(tzinfo=None)
KEY = uuid.UUID(int=2**127 + 5)


class Stage(enum.Enum):
    ODD_BY_ROW = 1
    EVEN_BY_ROW = 2
    BY_BATCH = 3
    COMPARED = 4
    BY_SQL = 5
    DONE = 6


class Colour(enum.Enum):
    RED = "it's red"
    BLUE = "b"


@dataclass
class Part:
    count: int
    when: Annotated[dt.datetime, bf.UTC]
    colour: Colour | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class Thing:
    number: int
    flag: bool = True
    ratio: float = -0.5
    price: Annotated[Decimal, bf.Precision(18, 2)] = Decimal("-1.25")
    text: str = "ü'\"\\\n"
    raw: bytes = b"\x00\xff"
    day: dt.date = dt.date(1, 1, 1)
    local: dt.datetime = LOCAL
    moment: Annotated[dt.datetime, bf.UTC] = NOON
    wait: dt.timedelta = dt.timedelta(days=-400, microseconds=1)
    key: uuid.UUID = KEY
    colour: Colour = Colour.RED
    part: Part = field(default_factory=lambda: Part(1, NOON))
    parts: list[Part | None] = field(default_factory=lambda: [None])
    by_name: dict[str, Part] = field(default_factory=dict)
    waits: list[dt.timedelta] = field(default_factory=lambda: [dt.timedelta(-1)])
    keys: dict[str, list[uuid.UUID]] = field(default_factory=lambda: {"k'": [KEY]})
    no_flag: bool | None = None
    no_number: int | None = None
    no_price: Annotated[Decimal, bf.Precision(18, 2)] | None = None
    no_raw: bytes | None = None
    no_day: dt.date | None = None
    no_moment: Annotated[dt.datetime, bf.UTC] | None = None
    no_wait: dt.timedelta | None = None
    no_key: uuid.UUID | None = None
    no_colour: Colour | None = None
    no_part: Part | None = None


NAMES = [one.name for one in fields(Thing)]
FILLED = [name for name in NAMES if name.startswith("no_")]


def odd_by_row(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number % 2:
        change(run.object)
    return Stage.EVEN_BY_ROW


def even_by_row(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number % 2 == 0:
        change(run.object)
    return Stage.BY_BATCH


def change(thing: Thing) -> None:
    for name in FILLED:
        setattr(thing, name, getattr(thing, name.removeprefix("no_")))
    thing.part.tags.append("seen")
    thing.parts.append(thing.part)
    thing.by_name["a"] = thing.part
    thing.moment = thing.moment.astimezone(dt.timezone(dt.timedelta(hours=5)))
    thing.wait -= dt.timedelta(microseconds=2)


def by_batch(batch: bf.Batch[Thing, Stage]) -> Stage:
    for name in NAMES:
        batch[name] = batch[name]
    return Stage.COMPARED


def by_arrow(batch: bf.Batch[Thing, Stage]) -> Stage:
    for name in NAMES:
        batch[name] = batch.arrow[name]
    return Stage.COMPARED


def by_polars(batch: bf.Batch[Thing, Stage]) -> Stage:
    frame = batch.polars()
    for name in NAMES:
        batch[name] = frame[name]
    return Stage.COMPARED


def compare(run: bf.Run[Thing, Stage]) -> Stage:
    assert run.object == expected(run.object.number)
    return Stage.BY_SQL


def things(batch_step: Callable[..., Stage], *, visits: bool) -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage, visits=visits)
    workflow.add_step(Stage.ODD_BY_ROW, odd_by_row, Stage.EVEN_BY_ROW)
    workflow.add_step(Stage.EVEN_BY_ROW, even_by_row, Stage.BY_BATCH)
    workflow.add_step(Stage.BY_BATCH, batch_step, Stage.COMPARED, batch=True)
    workflow.add_step(Stage.COMPARED, compare, Stage.BY_SQL)
    workflow.sql_step(Stage.BY_SQL, to=[Stage.DONE], set={name: f'"{name}"' for name in NAMES})
    return workflow


def expected(number: int) -> Thing:
    thing = Thing(number)
    change(thing)
    return thing


@pytest.mark.parametrize(
    ("batch_step", "workers", "visits"),
    [(by_batch, 0, False), (by_batch, 2, True), (by_arrow, 0, True), (by_polars, 0, False)],
)
def test_values_of_each_type_go_through_steps_of_each_kind(
    tmp_path: Path, batch_step: Callable[..., Stage], workers: int, visits: bool
) -> None:
    workflow = things(batch_step, visits=visits)
    with bf.Engine(tmp_path / "things.duckdb", workflow, workers=workers) as engine:
        run_id = engine.trigger("first", Thing(0))
        engine.trigger_many((Thing(number) for number in range(1, 50)), foreign_id="number")
        engine.run()
        assert engine.counts().fetchall() == [("DONE", "COMPLETED", 50)]
        assert engine.get(run_id).object == expected(0)
        others = engine.runs("number = 49").select("run_id").fetchall()
        assert engine.get(others[0][0]).object == expected(49)

"""Which answers can be drawn, whoever has the store open."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0


PLOTTED = ["ages", "counts", "durations", "funnel", "throughput", "transitions"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[bf.Engine]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, lambda run: Stage.DONE, Stage.DONE)
    with bf.Engine(tmp_path / "things.duckdb", workflow, workers=0) as opened:
        opened.trigger_many("SELECT i AS number FROM range(50) t(i)", foreign_id="number")
        opened.run(limit=40)
        yield opened


@pytest.mark.parametrize("question", PLOTTED)
def test_a_picture_is_drawn_here_and_by_way_of_the_socket(engine: bf.Engine, question: str) -> None:
    here = getattr(engine, question)()
    with bf.connect(engine.path) as store:
        there = getattr(store, question)()

        assert store.served
        assert "NEW" in here.plot().svg()
        assert "NEW" in there.plot().svg()


def test_what_narrows_an_answer_can_still_be_drawn(engine: bf.Engine) -> None:
    finished = engine.counts().filter("status = 'DONE'").order("runs DESC").limit(5)

    assert "40 completed" in finished.plot().svg()
    assert "initiated" not in finished.plot().svg()


@pytest.mark.parametrize(
    "other",
    [
        lambda engine: engine.counts().select("status"),
        lambda engine: engine.counts().aggregate("sum(runs)"),
        lambda engine: engine.runs(),
        lambda engine: engine.sql("SELECT 1"),
    ],
)
def test_what_has_other_columns_has_no_picture(engine: bf.Engine, other: Any) -> None:
    assert not hasattr(other(engine), "plot")


def test_buckets_fit_the_time_that_is_recorded(engine: bf.Engine) -> None:
    buckets = engine.throughput().select("runs", "runs_per_second").fetchall()

    # All of it took less than two minutes, so that each is a second long.
    assert sum(runs for runs, _ in buckets) == 40
    assert all(runs == pace for runs, pace in buckets)

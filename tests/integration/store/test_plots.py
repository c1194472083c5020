"""Query results that can be plotted, by an engine and by a client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import batchflow as bf
from kit.things import load, things

PLOTTED = ["ages", "counts", "durations", "funnel", "throughput", "transitions"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    path = tmp_path_factory.mktemp("things") / "things.duckdb"
    with bf.Engine(path, things(), workers=0) as opened:
        load(opened, 50)
        opened.run(limit=40)
        yield opened


@pytest.mark.parametrize("question", PLOTTED)
def test_a_chart_is_drawn_by_the_engine_and_by_a_client(engine: bf.Engine, question: str) -> None:
    here = getattr(engine, question)()
    with bf.connect(engine.path) as store:
        there = getattr(store, question)()

        assert store.served
        assert "NEW" in here.plot().svg()
        assert "NEW" in there.plot().svg()


def test_a_filtered_relation_can_still_be_plotted(engine: bf.Engine) -> None:
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
def test_a_relation_with_other_columns_has_no_plot(engine: bf.Engine, other: Any) -> None:
    assert not hasattr(other(engine), "plot")


def test_the_default_bucket_fits_the_recorded_time(engine: bf.Engine) -> None:
    buckets = engine.throughput().select("runs", "runs_per_second").fetchall()

    # All events took less than two minutes, so each bucket is a second long.
    assert sum(runs for runs, _ in buckets) == 40
    assert all(runs == pace for runs, pace in buckets)

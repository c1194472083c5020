"""Queries through an engine's socket return the same as in the engine itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import batchflow as bf
from kit.things import load, things


@pytest.fixture
def engine(path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(path, things(), workers=0) as opened:
        load(opened, 50)
        opened.run(limit=30)
        yield opened


@pytest.mark.parametrize("question", ["throughput", "durations", "transitions", "funnel"])
def test_what_is_counted_is_the_same_from_outside(engine: bf.Engine, question: str) -> None:
    own = getattr(engine, question)()

    with bf.connect(engine.path) as client:
        asked = getattr(client, question)()
        assert client.served
        assert (asked.columns, asked.types) == (own.columns, own.types)
        assert asked.to_arrow_table().to_pylist() == own.to_arrow_table().to_pylist()
        assert asked._repr_html_() == own._repr_html_()


def test_the_oldest_unfinished_run_is_the_same_from_outside(engine: bf.Engine) -> None:
    chosen = "status, runs, oldest, run_id"
    own = engine.ages().select(chosen).to_arrow_table().to_pylist()

    with bf.connect(engine.path) as client:
        assert client.ages().select(chosen).to_arrow_table().to_pylist() == own
    assert [row["runs"] for row in own] == [20]

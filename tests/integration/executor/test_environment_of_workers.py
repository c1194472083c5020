"""What programs do to their process has no effect on the workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

import batchflow as bf
from batchflow.worker.transport import socket_pair
from kit.things import Stage, Thing, load, things


@pytest.fixture
def default_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)
    yield
    socket.setdefaulttimeout(before)


@pytest.mark.usefixtures("default_timeout")
def test_the_default_timeout_of_sockets_does_not_apply() -> None:
    for end in socket_pair():
        with end:
            assert os.get_blocking(end.fileno())
            assert end.gettimeout() is None


@pytest.mark.usefixtures("pandas_in_children")
def test_workers_draw_different_numbers() -> None:
    def draw(run: bf.Run[Thing, Stage]) -> Stage:
        import random
        import time

        import numpy as np

        time.sleep(0.005)  # Both workers get some of the runs.
        ours = int(np.random.randint(2**40))  # noqa: NPY002 - the global generator is the point
        run.object.number = ours * 2**20 + random.randrange(2**20)
        return Stage.DONE

    with bf.Engine(":memory:", things(draw, chunk_rows=1), workers=2) as engine:
        load(engine, 12)
        engine.run()
        [(high, both)] = engine.sql(
            "SELECT count(DISTINCT number >> 20), count(DISTINCT number) FROM things.runs"
        ).fetchall()
    assert (high, both) == (12, 12)

"""Limits of the process that leave no room for a worker."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from own_process import in_own_process

import batchflow as bf
from kit.things import load, things


def few_open_files(_folder: Path) -> None:
    with bf.Engine(":memory:", things(), workers=1) as engine:
        load(engine, 1)
        engine.run()
    with bf.Engine(":memory:", things(), workers=2) as engine:
        engine.trigger("a", {"number": 1})
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1, hard))
        with pytest.raises(bf.EngineStateError, match=r"can't be started: Too many .*ulimit"):
            engine.run()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        engine.run()
        assert engine.counts().select("status, runs").fetchall() == [("DONE", 1)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_too_few_open_files_are_one_clear_error(tmp_path: Path) -> None:
    in_own_process(few_open_files, tmp_path)

"""Runs of thirty columns, of which two together are the cause of failures."""

from __future__ import annotations

import enum
import time
from dataclasses import make_dataclass
from typing import Any, Final

import batchflow as bf
from sample import Sample

_TEXTS, _NUMBERS, _COUNTS = 14, 10, 6
CAUSE: Final = "c3 = 'v5' AND x4 >= 700"
_FAILED: Final = (
    f"seq IN (SELECT seq FROM wide.runs WHERE hash(seq) % 100 < CASE WHEN {CAUSE} THEN 75 "
    "ELSE 0 END OR hash(seq + 1) % 1000 = 3)"
)


class Status(enum.Enum):
    """The statuses of wide runs."""

    NEW = 1
    DONE = 2


def wide() -> bf.Workflow[Any, Status]:
    """Return a workflow of objects with thirty fields."""
    fields = [
        *((f"c{at}", str) for at in range(_TEXTS)),
        *((f"x{at}", float) for at in range(_NUMBERS)),
        *((f"n{at}", int) for at in range(_COUNTS)),
    ]
    wide_type: type[Any] = make_dataclass("Wide", fields)
    workflow = bf.Workflow("wide", wide_type, Status)
    workflow.sql_step(Status.NEW, to=[Status.DONE], set={}, status=Status.DONE)
    return workflow


def load(store: str, runs: int) -> Sample:
    """Load random runs."""
    columns = [
        *(f"'v' || hash(i * 31 + {at}) % {3 + at * 7} AS c{at}" for at in range(_TEXTS)),
        *(f"(hash(i * 17 + {at}) % 1000000 / 1000.0)::DOUBLE AS x{at}" for at in range(_NUMBERS)),
        *(f"(hash(i * 7 + {at}) % {10 ** (at + 1)})::BIGINT AS n{at}" for at in range(_COUNTS)),
    ]
    source = f"SELECT 'r' || i AS key, {', '.join(columns)} FROM range({runs}) AS t(i)"
    with bf.Engine(store, wide(), workers=0) as engine:
        loaded = engine.trigger_many(source, foreign_id="key").loaded
    return Sample(0.0, {"runs": loaded})


def time_explain(store: str) -> Sample:
    """Return the time to explain the failures."""
    with bf.Engine(store, wide(), workers=0) as engine:
        began = time.perf_counter()
        lines = engine.explain(_FAILED).fetchall()
        seconds = time.perf_counter() - began
    return Sample(seconds, {"lines": len(lines)}, {"slice": str(lines[0][0])})

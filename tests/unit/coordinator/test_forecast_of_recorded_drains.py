"""The estimated end of real drains, which `record_drains.py` recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from record_drains import DRAINS, HERE

import batchflow as bf
from batchflow.coordinator import Forecast, Progress, Tally
from batchflow.coordinator.status_counts import StatusCounts

COUNTS = (
    "runs", "retrying", "executed", "moved", "retried", "by_attempt", "retried_by_attempt"
)  # fmt: skip
BEGAN = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class Replay:
    """A recorded drain, of which a forecast sees one commit after the other."""

    def __init__(self, name: str) -> None:
        self.workflow: bf.Workflow[Any, Any] = DRAINS[name]()[0]
        self.samples = json.loads((HERE / f"{name}.json").read_text())
        self.seconds = self.samples[-1]["seconds"]
        self._counts = StatusCounts(self.workflow)
        self._tally = Tally([self.workflow], {self.workflow.name: self._counts})
        self._forecast = Forecast([self.workflow])

    def after(self, sample: dict[str, Any]) -> Progress:
        for step, (counts, seconds, chunks) in zip(
            self._tally.steps.values(), sample["steps"], strict=True
        ):
            step.counts[:], step.seconds, step.chunks = counts, seconds, chunks
        for name in COUNTS:
            setattr(self._counts, name, np.array(sample[name], np.int64))
        self._counts.next_retry_at, self._counts.last_retry_at = (
            None if wait is None else at(sample["seconds"] + wait) for wait in sample["retries_in"]
        )
        self._tally.workers = sample["workers"]
        self._tally.awaits_retries = sample["awaits_retries"]
        self._forecast.observe(self._tally, sample["seconds"], at(sample["seconds"]))
        assert self._forecast.progress is not None
        return self._forecast.progress


def ratios(name: str) -> list[tuple[float, float, Progress]]:
    """Return for each commit the part of the time that has passed, and estimated / true rest."""
    replay, found = Replay(name), []
    for sample, following in pairwise(replay.samples):
        progress, passed = replay.after(sample), sample["seconds"] / replay.seconds
        rest = replay.seconds - sample["seconds"]
        # A commit that another follows at once is shown for an instant only.
        is_shown = following["seconds"] - sample["seconds"] > 0.005 * replay.seconds
        if progress.done_by is not None and is_shown and rest > 0.1 * replay.seconds:
            estimated = (progress.done_by - progress.at).total_seconds()
            found.append((passed, estimated / rest, progress))
    return found


@pytest.mark.parametrize("name", DRAINS)
def test_the_end_is_known_within_a_factor_of_two_then_within_thirty_percent(name: str) -> None:
    known = ratios(name)
    early = [round(ratio, 2) for passed, ratio, _ in known if 0.05 < passed < 0.5]
    late = [round(ratio, 2) for passed, ratio, _ in known if passed >= 0.5]

    assert late
    assert [ratio for ratio in early if not 0.5 <= ratio <= 2.0] == []
    assert [ratio for ratio in late if not 0.7 <= ratio <= 1.3] == []

"""The breaker of a step: while it is open, because too many recent runs failed, its runs wait.

A breaker is closed, open or probing. It opens when the share of `Retry.breaker` of the recent runs
failed. After the step's backoff it lets a few runs through, and what becomes of them closes it or
opens it again, for a longer wait. It lives in memory, for one drain.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.definition import Outcome
from batchflow.definition.retry_decision import LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    from batchflow.definition import Step

log = logging.getLogger("batchflow")

# The share of fewer runs says little.
LEAST_RUNS: Final = 20
# Failures of long ago say little about now.
RECENT_RUNS: Final = 100
PROBE_RUNS: Final = 10


class BreakerState(enum.Enum):
    """Whether runs are given to the step."""

    CLOSED = "all runs"
    OPEN = "no runs"
    PROBING = "a few runs"


class Breaker:
    """The breaker of one step.

    Attributes:
        state: Whether runs are given to the step.
        probe: The claim of the runs that were let through last, until it is done.
        openings: How often it opened, without the times when a probe failed.
        failed_share: The share of the recent runs that had failed when it opened last.
    """

    def __init__(self, workflow: str, step: Step, share: float) -> None:
        self.state = BreakerState.CLOSED
        self.probe: object | None = None
        self.openings = 0
        self.failed_share = 0.0
        self._workflow, self._step, self._share = workflow, step, share
        self._waits = 0
        self._opened_at = self._probe_at = datetime.max.replace(tzinfo=UTC)
        # The runs of recent results, and how many of them failed.
        self._recent: deque[tuple[int, int]] = deque()

    @property
    def is_closed(self) -> bool:
        """Whether all runs are given to the step."""
        return self.state is BreakerState.CLOSED

    @property
    def admits_claims(self) -> bool:
        """Whether more runs may be claimed for the step."""
        return self.is_closed or (self.state is BreakerState.PROBING and self.probe is None)

    def admits(self, claim: object) -> bool:
        """Return whether the runs of a claim may be given to the step."""
        return self.is_closed or claim is self.probe

    @property
    def most_claimed(self) -> int | None:
        """How many runs may be claimed at once; None without a limit."""
        return None if self.is_closed else PROBE_RUNS

    @property
    def probe_at(self) -> datetime | None:
        """The time of the next probe; None if it doesn't wait for one."""
        return self._probe_at if self.state is BreakerState.OPEN else None

    def record_claim(self, claim: object) -> None:
        """Record that runs were claimed: they are the probe, unless it is closed."""
        if not self.is_closed:
            self.probe = claim

    def record_end(self, claim: object) -> None:
        """Record that a claim is done."""
        if claim is self.probe:
            self.probe = None

    def observe(self, counts: np.ndarray) -> None:
        """Take the results of a chunk into account, or a correction of them: runs by outcome."""
        runs = int(counts.sum() - counts[Outcome.RETURNED])
        self._recent.append((runs, int(counts[Outcome.FAILED])))
        while self._runs - self._recent[0][0] >= RECENT_RUNS:
            self._recent.popleft()

    def follow(self, now: datetime, random: np.random.Generator) -> bool:
        """Follow the results and the clock; return whether the state has changed."""
        before = self.state
        match self.state:
            case BreakerState.CLOSED:
                self._judge_recent(now, random)
            case BreakerState.PROBING:
                self._judge_probe(now, random)
            case BreakerState.OPEN:
                # They are results of runs that were given to the step before.
                self._recent.clear()
        # A clock that was set back would delay the probe by as much.
        if self.state is BreakerState.OPEN and not self._opened_at <= now < self._probe_at:
            self.state = BreakerState.PROBING
        return self.state is not before

    def _judge_recent(self, now: datetime, random: np.random.Generator) -> None:
        runs = self._runs
        if runs >= LEAST_RUNS and self._failed_share >= self._share:
            self.openings += 1
            self.failed_share = self._failed_share
            self._open(now, random)
            self._log_open(runs)

    def _judge_probe(self, now: datetime, random: np.random.Generator) -> None:
        if self.probe is not None or not self._runs:
            return
        if self._failed_share >= self._share:
            self._open(now, random)
            return
        self.state, self._waits = BreakerState.CLOSED, 0
        self._recent.clear()
        self._log_closed()

    @property
    def _runs(self) -> int:
        return sum(runs for runs, _ in self._recent)

    @property
    def _failed_share(self) -> float:
        return sum(failed for _, failed in self._recent) / self._runs

    def _open(self, now: datetime, random: np.random.Generator) -> None:
        self.state = BreakerState.OPEN
        self._waits += 1
        [wait] = self._step.options.retry.backoff(np.array([self._waits]), random)
        self._opened_at = now
        self._probe_at = now + timedelta(seconds=min(float(wait), LONGEST_WAIT_SECONDS))
        self._recent.clear()

    def _log_open(self, runs: int) -> None:
        log.warning(
            "Workflow %s: step %s is paused, because %.0f%% of its last %d runs failed. If the "
            "drain still runs then, a few runs try it at %s.",
            self._workflow,
            self._step.name,
            100 * self.failed_share,
            runs,
            f"{self._probe_at:%Y-%m-%d %H:%M:%S %Z}",
            extra={
                "action": "open_breaker",
                "workflow": self._workflow,
                "step": self._step.name,
                "share": self.failed_share,
                "runs": runs,
            },
        )

    def _log_closed(self) -> None:
        log.info(
            "Workflow %s: step %s continues, because runs that tried it succeeded.",
            self._workflow,
            self._step.name,
            extra={
                "action": "close_breaker",
                "workflow": self._workflow,
                "step": self._step.name,
            },
        )

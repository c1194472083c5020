"""The remaining time of a drain: the remaining work of all steps, at the speed of the last seconds.

The remaining executions follow from where the runs are now, and from where earlier runs went. Each
execution costs what earlier ones did. The workers share all steps, so the work adds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.coordinator.status_counts import StatusCounts
    from batchflow.definition import AnyWorkflow
    from batchflow.definition.retry import Retry

# The coordinator's own time for each execution; without it, quick steps would seem to cost nothing.
_ENGINE_SECONDS: Final = 1.5e-6
# A step in the store is often executed last. Until then it is taken to cost this, which is common.
_STORE_SECONDS: Final = 3e-6
_STORE_CHUNKS: Final = 0.25
_MOST_RETURNS: Final = 0.95
_SPREADS: Final = 2.0
# A narrower range isn't worth showing.
_LEAST_SPREAD: Final = 0.1


@dataclass(frozen=True)
class RemainingTime:
    """An estimate in seconds: the likely one, and a range that probably contains the true one."""

    likely: float
    least: float
    most: float

    def at_least(self, seconds: float) -> RemainingTime:
        """Return the estimate if so much time passes in any case."""
        return RemainingTime(*(max(each, seconds) for each in (self.likely, self.least, self.most)))

    def after(self, seconds: float) -> RemainingTime:
        """Return the estimate if so much time passes besides."""
        return RemainingTime(self.likely + seconds, self.least + seconds, self.most + seconds)

    def until_both(self, other: RemainingTime) -> RemainingTime:
        """Return the estimate for two things that happen at the same time."""
        return RemainingTime(
            max(self.likely, other.likely),
            max(self.least, other.least),
            max(self.most, other.most),
        )


@dataclass(frozen=True, eq=False)
class TrailingWait:
    """The wait for retries at the end of a drain.

    Attributes:
        executions: The remaining executions of each step before that wait begins: shape (steps,).
        seconds: How long it takes.
    """

    executions: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True, eq=False)
class Observed:
    """The work of all steps by a moment; arrays of shape (steps,).

    Attributes:
        seconds: The moment, by a clock that never jumps.
        executed: How often each step was executed for a run.
        advanced: How many runs each step advanced.
        busy: The seconds that each step took, as a part of what all workers could do meanwhile.
        chunks: The number of chunks, or of parts that were executed in the store.
        workers: The number of workers.
        since_previous: The seconds since the moment before.
    """

    seconds: float
    workers: int
    since_previous: float
    executed: NDArray[np.int64]
    advanced: NDArray[np.int64]
    busy: NDArray[np.float64]
    chunks: NDArray[np.int64]


def remaining_time(
    executions: NDArray[np.float64],
    in_store: NDArray[np.bool_],
    first: Observed,
    last: Observed,
) -> RemainingTime | None:
    """Estimate the time for some executions of each step; None if a needed step is unknown.

    Args:
        executions: The remaining executions of each step.
        in_store: Whether a step is executed in the store.
        first: The beginning of the time that shows the present speed.
        last: The present.
    """
    needed = executions > 0.0
    if (needed & ~in_store & (last.executed == 0)).any():
        return None
    costs = _costs(first, last, in_store)
    work = executions * costs
    total = float(work.sum())
    if total == 0.0:
        return RemainingTime(0.0, 0.0, 0.0)
    likely = (total - _under_way(total, costs, first, last)) / _speed(costs, first, last)
    known = np.maximum(last.chunks, _STORE_CHUNKS)
    spread = _SPREADS * math.sqrt(float(np.sum((work / total) ** 2 / known)))
    if spread < _LEAST_SPREAD:
        return RemainingTime(likely, likely, likely)
    return RemainingTime(likely, likely / (1.0 + spread), likely * (1.0 + spread))


def expected_attempts(workflow: AnyWorkflow, counts: StatusCounts) -> NDArray[np.float64]:
    """Return how often each step will be executed, by attempt: shape (steps, ATTEMPTS).

    The runs of a step that wasn't executed yet are divided among the statuses that it leads to.
    """
    codes = list(workflow.steps)
    settled = np.maximum(counts.executed - counts.retried, 1)
    shares = counts.moved / settled[:, None]
    for code in codes:
        if not counts.executed[code]:
            targets = workflow.graph.edges[code]
            shares[code, list(targets)] = 1.0 / len(targets)
    shares = _with_fewer_returns(shares, workflow.graph.rank)
    onward = shares[np.ix_(codes, codes)].T
    due = _retries_by_attempt(counts)[codes]
    retries = due.sum(axis=1)
    new = np.maximum((counts.shown + counts.retrying)[codes] - retries, 0.0)
    arriving = np.linalg.solve(np.eye(len(codes)) - onward, new + onward @ retries)
    attempts = np.zeros((len(codes), counts.by_attempt.shape[1]))
    attempts[:, 0] = np.maximum(arriving, 0.0)
    fails = _failure_rates(counts)[codes]
    for attempt in range(1, attempts.shape[1]):
        attempts[:, attempt] = attempts[:, attempt - 1] * fails[:, attempt - 1] + due[:, attempt]
    return attempts


def _with_fewer_returns(
    shares: NDArray[np.float64], rank: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the shares with less of them back, because endless returns need infinite time.

    All ways back from a status count together: of the statuses among which runs stay for ever, the
    highest leads only back, by one edge or by several.
    """
    back = rank[None, :] <= rank[:, None]
    returning = np.where(back, shares, 0.0).sum(axis=1, keepdims=True)
    fewer = _MOST_RETURNS / np.maximum(returning, _MOST_RETURNS)
    return np.where(back, shares * fewer, shares)


def trailing_wait(
    workflow: AnyWorkflow, counts: StatusCounts, attempts: NDArray[np.float64]
) -> TrailingWait:
    """Return the wait for the retries of the runs that will probably fail.

    Other work is done meanwhile, but the wait begins only after these runs have failed.
    """
    codes = list(workflow.steps)
    # It isn't known whether attempts fail that no run has had yet.
    failures = attempts * _failure_rates(counts)[codes] * (counts.by_attempt[codes] > 0)
    fails = failures >= 1.0
    numbers = np.arange(1, attempts.shape[1] + 1)
    waits = [
        float(_longest_waits(step.options.retry, numbers)[failed].sum())
        for step, failed in zip(workflow.steps.values(), fails, strict=True)
    ]
    # For each attempt, whether it or a later one fails.
    before = np.logical_or.accumulate(fails[:, ::-1], axis=1)[:, ::-1]
    return TrailingWait((attempts * before).sum(axis=1), max(waits, default=0.0))


def _longest_waits(retry: Retry, attempts: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        waits = retry.backoff_seconds * np.power(retry.multiplier, attempts - 1.0)
    limited = np.minimum(waits, retry.max_backoff_seconds)
    longest: NDArray[np.float64] = np.where(retry.pauses(attempts), 0.0, limited)
    return longest


def _failure_rates(counts: StatusCounts) -> NDArray[np.float64]:
    """Return which part of the runs fails and is tried again, by status and attempt.

    A run that has failed fails again more often than another fails. How much more often isn't
    known before the first retry, so until then it is taken to be halfway to always, in orders of
    magnitude.
    """
    executed = counts.by_attempt
    overall = counts.retried / np.maximum(counts.executed, 1)
    has_retried = executed[:, 1:].any(axis=1)
    expected = np.where(has_retried, overall, np.sqrt(overall))
    known = counts.retried_by_attempt / np.maximum(executed, 1)
    rates: NDArray[np.float64] = np.clip(np.where(executed > 0, known, expected[:, None]), 0.0, 1.0)
    return rates


def _retries_by_attempt(counts: StatusCounts) -> NDArray[np.float64]:
    """Return how many runs wait for each attempt after a failure, due or not, by status."""
    waiting = np.zeros(counts.by_attempt.shape)
    waiting[:, 1:] = np.maximum(counts.retried_by_attempt[:, :-1] - counts.by_attempt[:, 1:], 0)
    # Runs that failed before this drain began are taken to wait for their second attempt.
    waiting[:, 1] += np.maximum(counts.retrying - waiting.sum(axis=1), 0)
    # Some may have been paused or changed by others since.
    most = counts.shown + counts.retrying
    scaled: NDArray[np.float64] = (
        waiting * np.minimum(1.0, most / np.maximum(waiting.sum(axis=1), 1))[:, None]
    )
    return scaled


def _costs(first: Observed, last: Observed, in_store: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the part of a second that an execution of each step takes from all workers."""
    lately = last.executed - first.executed
    executed = np.where(lately > 0, lately, last.executed)
    busy = np.where(lately > 0, last.busy - first.busy, last.busy)
    known = busy / np.maximum(executed, 1)
    guessed = np.where(in_store & (executed == 0), _STORE_SECONDS, known)
    return guessed + _ENGINE_SECONDS


def _speed(costs: NDArray[np.float64], first: Observed, last: Observed) -> float:
    """Return the work that is done in a second, up to 1, which is all that the workers can do."""
    elapsed = last.seconds - first.seconds
    done, chunk = _done(costs, first, last)
    if elapsed <= 0.0 or done <= 0.0:
        return 1.0
    # Each worker has a chunk under way, which is about half done. Before the first ones are done,
    # the workers may have had to start, and are taken to be busy.
    return min(1.0, (done + 1.5 * chunk) / (elapsed + chunk))


def _under_way(total: float, costs: NDArray[np.float64], first: Observed, last: Observed) -> float:
    """Return the part of the remaining work that is done, though not committed.

    One worker has just begun a chunk, as there is a commit; those of the others are about half
    done.
    """
    _, chunk = _done(costs, first, last)
    # Right after another commit, the others have just begun as well.
    part = min(1.0, 2.0 * last.since_previous / chunk) if chunk else 0.0
    return part * min(total, chunk * (last.workers - 1) / last.workers) / 2.0


def _done(costs: NDArray[np.float64], first: Observed, last: Observed) -> tuple[float, float]:
    """Return the work that was done, and the time in which each worker executes a chunk."""
    executed, chunks = last.executed - first.executed, int((last.chunks - first.chunks).sum())
    done = float((executed * costs).sum())
    return done, last.workers * done / chunks if chunks else 0.0

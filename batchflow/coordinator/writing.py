"""Writes: the results of several chunks in one commit, or a step in the store."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchflow import crash_point
from batchflow.coordinator.costs import costs_of_results, costs_of_span
from batchflow.coordinator.piecewise import Piecewise, store_piecewise
from batchflow.coordinator.telemetry import record_commit
from batchflow.definition.cause import distinct
from batchflow.store import SqlStepResult, StepCommit, WriteInterruptedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import numpy as np

    from batchflow.coordinator.intake import StoreSpan
    from batchflow.coordinator.settlement import SettledChunk
    from batchflow.definition import AnyWorkflow
    from batchflow.errors import CommitError
    from batchflow.store import CommitResult, Store

log = logging.getLogger("batchflow")


@dataclass(frozen=True)
class WrittenResults:
    """The results of some chunks after they were written.

    Attributes:
        settled: The chunks.
        stored: Each commit that was stored, with its result.
        refused: The commits that the store refused, even in small parts.
        error: The last refusal.
    """

    settled: Sequence[SettledChunk]
    stored: Sequence[tuple[StepCommit, CommitResult]]
    refused: Sequence[StepCommit]
    error: CommitError | None


@dataclass(frozen=True)
class WrittenSpan:
    """A span of runs for which the store executed steps.

    Attributes:
        span: The span and its steps.
        results: The results of each part of the span that was stored in one transaction: one for
            the first step, and one for each further step that was executed.
        refused: Whether the store refused some parts.
        error: The last refusal.
        seconds: The time that all of it took.
        began: When it began.
        interrupted: Whether the rest of it was interrupted, and is unchanged.
    """

    span: StoreSpan
    results: Sequence[SqlStepResult]
    refused: bool
    error: CommitError | None
    seconds: float
    began: datetime
    interrupted: bool


def write_results(store: Store, settled: Sequence[SettledChunk], now: datetime) -> WrittenResults:
    """Commit the results of several chunks, in one transaction if the store accepts it."""
    began = time.monotonic()

    def commit(commits: Sequence[StepCommit]) -> Sequence[CommitResult]:
        crash_point.reached("before_commit")
        results = store.commit(commits, now)
        crash_point.reached("after_commit")
        return results

    whole: Sequence[StepCommit] = merged(settled)
    done = store_piecewise(whole, commit, halves)
    seconds = time.monotonic() - began
    stored = [
        pair for commits, results in done.stored for pair in zip(commits, results, strict=True)
    ]
    if stored:
        costs = costs_of_results(settled, stored, now, began, seconds)
        store.add_costs(costs)
        record_commit(stored[0][0].workflow, costs, seconds)
    for each, result in stored:
        if result.instead is not None:
            _log_broken(each, result.instead)
        refused_runs = len(result.refused_seqs)
        _log(each.workflow, each.step.name, result.applied, seconds, refused=refused_runs)
    refused = [each for piece in done.refused for each in piece]
    for each in refused:
        _log_refused(each.workflow, each.step.name, each.num_rows)
    return WrittenResults(settled, stored, refused, done.error)


def write_in_store(
    store: Store, task: StoreSpan, now: datetime, random: np.random.Generator
) -> WrittenSpan:
    """Execute steps in the store for a span of runs, in one transaction if DuckDB accepts it."""
    began = time.monotonic()
    workflow, step = task.queue.workflow, task.steps[0]

    def commit(seqs: range) -> list[SqlStepResult]:
        crash_point.reached("before_commit")
        results = store.commit_sql_steps(workflow, task.steps, (seqs[0], seqs[-1]), now, random)
        crash_point.reached("after_commit")
        return results

    done = Piecewise[range, list[SqlStepResult]]()
    interrupted = False
    try:
        store_piecewise(task.seqs, commit, _halves_of_range, done)
    except WriteInterruptedError:
        interrupted = True
    seconds = time.monotonic() - began
    for _, (first, *_) in done.stored:
        _log(workflow, step.name, first.runs, seconds)
    results = [result for _, results in done.stored for result in results]
    if done.refused:
        _log_refused(workflow, step.name, None)
    written = WrittenSpan(task, results, bool(done.refused), done.error, seconds, now, interrupted)
    if any(result.runs for result in results):
        costs = costs_of_span(written)
        store.add_costs(costs)
        record_commit(workflow, costs, seconds)
    return written


def halves(commits: Sequence[StepCommit]) -> Sequence[Sequence[StepCommit]]:
    """Halve the content of one transaction: its commits, or the runs of a single one."""
    if len(commits) > 1:
        middle = len(commits) // 2
        return commits[:middle], commits[middle:]
    (commit,) = commits
    seqs = pa.concat_arrays([t["#seq"].combine_chunks() for t in (commit.moved, commit.unmoved)])
    if len(seqs) < 2:
        return ()
    middle = len(seqs) // 2
    return tuple((commit.of_runs(part),) for part in (seqs[:middle], seqs[middle:]))


def _halves_of_range(seqs: range) -> Sequence[range]:
    middle = len(seqs) // 2
    return (seqs[:middle], seqs[middle:]) if middle else ()


def merged(settled: Sequence[SettledChunk]) -> list[StepCommit]:
    """Merge the commits of each step that changed the same columns.

    A run that moved and then failed in the same visit has a second commit, after the first.
    """
    first = (chunk.first.commit for chunk in settled)
    later = (step.commit for chunk in settled for step in chunk.later)
    return [*_merged(first), *_merged(later)]


def _merged(commits: Iterable[StepCommit | None]) -> list[StepCommit]:
    groups: dict[tuple[Any, ...], list[StepCommit]] = defaultdict(list)
    for commit in commits:
        if commit is not None:
            columns = tuple(sorted(commit.moved.column_names))
            groups[commit.workflow.name, commit.step.from_code, columns].append(commit)
    return [_concatenated(group) for group in groups.values()]


def _concatenated(group: list[StepCommit]) -> StepCommit:
    first = group[0]
    if len(group) == 1:
        return first
    names = first.moved.column_names
    return StepCommit(
        workflow=first.workflow,
        step=first.step,
        # DuckDB reads one piece a fifth faster than a piece for each chunk.
        moved=pa.concat_tables([commit.moved.select(names) for commit in group]).combine_chunks(),
        unmoved=pa.concat_tables([commit.unmoved for commit in group]),
        errors=pa.concat_tables([commit.errors for commit in group]),
        transitions=_concatenated_transitions(group),
        causes=distinct(cause for commit in group for cause in commit.causes),
    )


def _concatenated_transitions(group: list[StepCommit]) -> pa.Table | None:
    if group[0].transitions is None:
        return None
    tables = [commit.transitions for commit in group]
    return pa.concat_tables(tables).combine_chunks()


def _log_broken(given: StepCommit, stored: StepCommit) -> None:
    log.warning(
        "Workflow %s: %d of the runs that step %s moved would break an invariant. They are paused.",
        given.workflow.title,
        given.moved.num_rows - stored.moved.num_rows,
        given.step.name,
        extra={"action": "break_invariant", "workflow": given.workflow.name},
    )


def _log(workflow: AnyWorkflow, step: str, runs: int, seconds: float, *, refused: int = 0) -> None:
    log.log(
        logging.WARNING if refused else logging.INFO,
        "Workflow %s: committed %d %s of step %s in %.3f s%s.",
        workflow.title,
        runs,
        "run" if runs == 1 else "runs",
        step,
        seconds,
        f"; refused {refused} that had changed since their claim" if refused else "",
        extra={
            "action": "commit",
            "workflow": workflow.name,
            "step": step,
            "runs": runs,
            "refused": refused,
            "seconds": seconds,
        },
    )


def _log_refused(workflow: AnyWorkflow, step: str, runs: int | None) -> None:
    log.error(
        "Workflow %s: %s results of step %s couldn't be stored. Their runs are unchanged.",
        workflow.title,
        "some" if runs is None else runs,
        step,
        extra={"action": "refuse_commit", "workflow": workflow.name, "step": step, "runs": runs},
    )

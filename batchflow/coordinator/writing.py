"""What is written next: chunk results gathered into one commit, or a step inside the store."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.coordinator.piecewise import store_piecewise
from batchflow.store import StepCommit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np

    from batchflow.coordinator.intake import InStore
    from batchflow.coordinator.outcomes import Settled
    from batchflow.errors import CommitError
    from batchflow.store import CommitSummary, Store

log = logging.getLogger("batchflow")


@dataclass(frozen=True)
class Written:
    """One write, done: a transaction, or several where one was refused.

    Attributes:
        settled: the chunks whose results it is about.
        commits: what was stored of them, with a summary each.
        refused: what the store didn't take, in whatever small pieces; as if it hadn't been done.
        error: the last refusal.
        in_store: the span that the store itself executed a step for, if it was that.
        summaries: what it said of that, or of ``commits``.
        refused_in_store: whether it didn't take all of the span.
    """

    settled: Sequence[Settled] = ()
    commits: Sequence[StepCommit] = ()
    summaries: Sequence[CommitSummary] = ()
    refused: Sequence[StepCommit] = ()
    error: CommitError | None = None
    in_store: InStore | None = None
    refused_in_store: bool = False
    seconds: float = 0.0


def write_results(store: Store, settled: Sequence[Settled], now: datetime) -> Written:
    """Commit the results of several chunks, in one transaction if the store takes it."""
    began = time.monotonic()

    def commit(commits: Sequence[StepCommit]) -> Sequence[CommitSummary]:
        crash_point.reached("before_commit")
        summaries = store.commit(commits, now)
        crash_point.reached("after_commit")
        return summaries

    whole: Sequence[StepCommit] = merged(settled)
    done = store_piecewise(whole, commit, halves)
    seconds = time.monotonic() - began
    commits = [each for piece, _ in done.stored for each in piece]
    summaries = [each for _, stored in done.stored for each in stored]
    for each, summary in zip(commits, summaries, strict=True):
        _log(each.workflow.name, each.step.name, summary, seconds)
    refused = [each for piece in done.refused for each in piece]
    for each in refused:
        _log_refused(each.workflow.name, each.step.name, each.moved.num_rows + each.held.num_rows)
    return Written(settled, commits, summaries, refused, done.error, seconds=seconds)


def write_in_store(
    store: Store, task: InStore, now: datetime, random: np.random.Generator
) -> Written:
    """Execute a step inside the store for one span of runs, in one transaction if it can."""
    began = time.monotonic()
    workflow = task.queue.workflow

    def commit(seqs: range) -> CommitSummary:
        crash_point.reached("before_commit")
        summary = store.commit_sql_step(workflow, task.step, seqs[0], seqs[-1], now, random)
        crash_point.reached("after_commit")
        return summary

    done = store_piecewise(
        range(task.span.first_seq, task.span.last_seq + 1), commit, _halves_of_range
    )
    seconds = time.monotonic() - began
    summaries = [summary for _, summary in done.stored]
    for summary in summaries:
        _log(workflow.name, task.step.name, summary, seconds)
    if done.refused:
        _log_refused(workflow.name, task.step.name, None)
    return Written(
        summaries=summaries,
        error=done.error,
        in_store=task,
        refused_in_store=bool(done.refused),
        seconds=seconds,
    )


def halves(commits: Sequence[StepCommit]) -> Sequence[Sequence[StepCommit]]:
    """Halve what goes into one transaction: its steps, or the runs of a single one."""
    if len(commits) > 1:
        middle = len(commits) // 2
        return commits[:middle], commits[middle:]
    (commit,) = commits
    seqs = pa.concat_arrays([t["#seq"].combine_chunks() for t in (commit.moved, commit.held)])
    if len(seqs) < 2:
        return ()
    middle = len(seqs) // 2
    return tuple((_of_runs(commit, part),) for part in (seqs[:middle], seqs[middle:]))


def _of_runs(commit: StepCommit, seqs: pa.Array) -> StepCommit:
    parts = (
        table.filter(pc.is_in(table["#seq"], value_set=seqs))
        for table in (commit.moved, commit.held, commit.errors)
    )
    return StepCommit(commit.workflow, commit.step, *parts)


def _halves_of_range(seqs: range) -> Sequence[range]:
    middle = len(seqs) // 2
    return (seqs[:middle], seqs[middle:]) if middle else ()


def merged(settled: Sequence[Settled]) -> list[StepCommit]:
    """Gather chunks of the same step that changed the same columns."""
    groups: dict[tuple[str, int, tuple[str, ...]], list[StepCommit]] = defaultdict(list)
    for entry in settled:
        commit = entry.commit
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
        # In one piece DuckDB reads it a fifth faster than in one piece for each chunk.
        moved=pa.concat_tables([commit.moved.select(names) for commit in group]).combine_chunks(),
        held=pa.concat_tables([commit.held for commit in group]),
        errors=pa.concat_tables([commit.errors for commit in group]),
    )


def _log(workflow: str, step: str, summary: CommitSummary, seconds: float) -> None:
    refused = len(summary.refused_seqs)
    log.log(
        logging.WARNING if refused else logging.INFO,
        "%s: committed %d runs of %s in %.3f s%s",
        workflow,
        summary.applied,
        step,
        seconds,
        f", refused {refused} that were changed meanwhile" if refused else "",
        extra={
            "action": "commit",
            "workflow": workflow,
            "step": step,
            "runs": summary.applied,
            "refused": refused,
            "seconds": seconds,
        },
    )


def _log_refused(workflow: str, step: str, runs: int | None) -> None:
    log.error(
        "%s: %s results of %s couldn't be stored; their runs are as they were",
        workflow,
        "some" if runs is None else runs,
        step,
        extra={"action": "refuse_commit", "workflow": workflow, "step": step, "runs": runs},
    )

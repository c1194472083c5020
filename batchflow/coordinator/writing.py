"""What is written next: chunk results gathered into one commit, or a step inside the store."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from batchflow.store import StepCommit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np

    from batchflow.coordinator.intake import InStore
    from batchflow.coordinator.outcomes import Settled
    from batchflow.store import CommitSummary, Store

log = logging.getLogger("batchflow")


@dataclass(frozen=True)
class Written:
    """One transaction, done.

    Attributes:
        settled: the chunks whose results are in it.
        commits: what was stored, with one summary each.
        in_store: the span that the store itself executed a step for, if it was that.
    """

    settled: Sequence[Settled]
    commits: Sequence[StepCommit]
    summaries: Sequence[CommitSummary]
    in_store: InStore | None = None
    seconds: float = 0.0


def write_results(store: Store, settled: Sequence[Settled], now: datetime) -> Written:
    """Commit the results of several chunks in one transaction."""
    began = time.monotonic()
    commits = merged(settled)
    summaries = store.commit(commits, now)
    seconds = time.monotonic() - began
    for commit, summary in zip(commits, summaries, strict=True):
        _log(commit.workflow.name, commit.step.name, summary, seconds)
    return Written(settled, commits, summaries, seconds=seconds)


def write_in_store(
    store: Store, task: InStore, now: datetime, random: np.random.Generator
) -> Written:
    """Execute a step inside the store, for one span of runs, in one transaction."""
    began = time.monotonic()
    workflow, span = task.queue.workflow, task.span
    summary = store.commit_sql_step(workflow, task.step, span.first_seq, span.last_seq, now, random)
    seconds = time.monotonic() - began
    _log(workflow.name, task.step.name, summary, seconds)
    return Written((), (), (summary,), in_store=task, seconds=seconds)


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

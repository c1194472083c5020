"""The costs of a commit, from the chunks whose results it stored."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition import Outcome
from batchflow.store import IN_STORE, ChunkCost, CommitCosts, SlowRun, StepCosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from batchflow.coordinator.claim import Claim
    from batchflow.coordinator.settlement import SettledChunk, SettledStep
    from batchflow.coordinator.writing import WrittenSpan
    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import CommitResult, StepCommit


def costs_of_results(
    settled: Sequence[SettledChunk],
    stored: Sequence[tuple[StepCommit, CommitResult]],
    now: datetime,
    began: float,
    commit_seconds: float,
) -> CommitCosts:
    """Return the costs of a commit that stored the results of some chunks.

    Args:
        settled: The chunks.
        stored: Each commit of their results that was stored, with its result.
        now: The time of the commit.
        began: When it began, on the monotonic clock.
        commit_seconds: How long it took.
    """
    parts = [
        (chunk, step, began - chunk.chunk.submitted - chunk.seconds if at == 0 else 0.0)
        for chunk in settled
        for at, step in enumerate(chunk.steps)
    ]
    runs = sum(_executed(step) for _, step, _ in parts) or 1
    workflows = {chunk.chunk.claim.workflow.name: chunk.chunk.claim.workflow for chunk in settled}
    groups: dict[tuple[str, int], list[tuple[SettledStep, float]]] = defaultdict(list)
    for chunk, step, queued in parts:
        workflow = chunk.chunk.claim.workflow
        groups[workflow.name, step.step.from_code].append((step, max(0.0, queued)))
    broken = _broken_invariants(stored)
    return CommitCosts(
        committed_at=now,
        steps=[
            _step_cost(workflows[key[0]], group, broken[key], commit_seconds / runs)
            for key, group in groups.items()
        ],
        chunks=[cost for chunk in settled for cost in _chunk_costs(chunk)],
        slow_runs=[run for chunk in settled for run in _slow_runs(chunk)],
    )


def costs_of_span(written: WrittenSpan) -> CommitCosts:
    """Return the costs of steps that the store executed for a span of runs."""
    queue, seqs = written.span.queue, written.span.seqs
    executed = sum(result.runs for result in written.results) or 1
    steps, chunks = [], []
    for result in filter(attrgetter("runs"), written.results):
        names = _names(queue.workflow, result.step)
        seconds = written.seconds * result.runs / executed
        failed = int(result.counts[Outcome.FAILED])
        steps.append(StepCosts(*names, result.runs, failed, 1, seconds, 0.0, 0.0))
        bounds = (seqs[0], seqs[-1])
        chunks.append(ChunkCost(*names, None, IN_STORE, *bounds, result.runs, seconds))
    return CommitCosts(written.began, steps, chunks)


def _names(workflow: AnyWorkflow, step: Step) -> tuple[str, str, str]:
    return workflow.name, workflow.statuses[step.from_code].name, step.name


def _executed(step: SettledStep) -> int:
    return int(step.counts.sum() - step.counts[Outcome.RETURNED])


def _broken_invariants(
    stored: Sequence[tuple[StepCommit, CommitResult]],
) -> Mapping[tuple[str, int], int]:
    """Count the runs that failed in the commit itself, by workflow and the status of the step."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for given, result in stored:
        if result.instead is not None:
            failed = result.instead.errors.num_rows - given.errors.num_rows
            counts[given.workflow.name, given.step.from_code] += failed
    return counts


def _step_cost(
    workflow: AnyWorkflow,
    group: Sequence[tuple[SettledStep, float]],
    broken: int,
    commit_seconds: float,
) -> StepCosts:
    """Return the cost of a step.

    Args:
        workflow: The workflow.
        group: The step's part of each chunk, with the seconds that it waited.
        broken: How many more runs failed in the commit, because they would break an invariant.
        commit_seconds: The seconds of the commit for each run.
    """
    runs = sum(_executed(step) for step, _ in group)
    return StepCosts(
        *_names(workflow, group[0][0].step),
        runs=runs,
        failed=sum(int(step.counts[Outcome.FAILED]) for step, _ in group) + broken,
        chunks=len(group),
        step_seconds=sum(step.seconds for step, _ in group),
        queue_seconds=sum(queued for _, queued in group),
        commit_seconds=commit_seconds * runs,
    )


def _chunk_costs(settled: SettledChunk) -> Iterator[ChunkCost]:
    chunk, first = settled.chunk, settled.first
    names = _names(chunk.claim.workflow, first.step)
    seqs = _executed_seqs(settled)
    for part in _pieces(chunk.claim, seqs):
        seconds = first.seconds * len(part) / len(seqs)
        ends = (int(part[0]), int(part[-1]))
        yield ChunkCost(*names, settled.chunk_id, settled.worker, *ends, len(part), seconds)


def _executed_seqs(settled: SettledChunk) -> NDArray[np.int64]:
    """Return the seqs of the runs that were executed, sorted; mostly, they are so already."""
    seqs: NDArray[np.int64] = settled.chunk.rows["#seq"].to_numpy()
    if settled.returned.num_rows:
        returned = settled.returned["#seq"].to_numpy()
        seqs = seqs[np.isin(seqs, returned, assume_unique=True, invert=True)]
    return seqs if np.all(seqs[:-1] < seqs[1:]) else np.sort(seqs)


def _pieces(claim: Claim, seqs: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
    """Divide sorted seqs of a claim where the claim has others in between.

    Parts of a claim come back from workers and are joined with others, so a chunk's seqs aren't
    always neighbours in it.
    """
    if not len(seqs):
        return ()
    first, last = np.searchsorted(claim.seqs, seqs[[0, -1]])
    if last - first + 1 == len(seqs):
        return (seqs,)
    places = np.searchsorted(claim.seqs, seqs)
    return np.split(seqs, np.flatnonzero(np.diff(places) > 1) + 1)


def _slow_runs(settled: SettledChunk) -> Iterator[SlowRun]:
    chunk = settled.chunk
    workflow = chunk.claim.workflow
    for row, code, seconds in settled.slowest:
        seq = chunk.rows["#seq"][row].as_py()
        yield SlowRun(*_names(workflow, workflow.steps[code]), seq, seconds, settled.worker)

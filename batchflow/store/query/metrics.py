"""The numbers of a store for monitoring, and the text format of Prometheus.

The format has a few rules, so it needs no library; see
https://prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from batchflow.store.query.later_tables import has_table
from batchflow.store.query.queries import has_transitions
from batchflow.store.query.relation import Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES, counts_query
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import Tables

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_TRANSITIONS: Final = """
    SELECT from_status, outcome, count(*), epoch(max(committed_at))
    FROM {transitions} GROUP BY ALL ORDER BY ALL"""
_FAILURES: Final = "SELECT step, count(*) FROM {errors} GROUP BY step ORDER BY step"
_OLDEST: Final = """
    SELECT status, (epoch_us(now()) - epoch_us(min(updated_at))) / 1e6
    FROM {runs} WHERE run_state IN ({unfinished}) GROUP BY status ORDER BY status"""
_COSTS: Final = """
    SELECT step, count(*), sum(chunks), sum(runs), sum(step_seconds), sum(queue_seconds),
           sum(commit_seconds), epoch(max(committed_at))
    FROM batchflow.commits WHERE workflow = {workflow} GROUP BY step ORDER BY step"""


@dataclass(frozen=True)
class Sample:
    """One value of a metric."""

    metric: str
    labels: Mapping[str, str]
    value: float


METRICS: Final = {
    "batchflow_runs": ("gauge", "Runs by status and run state."),
    "batchflow_chunks_in_flight": ("gauge", "Chunks that workers had at the last commit."),
    "batchflow_transitions_total": (
        "counter",
        "Transitions that the log has, by the status where they began and the outcome.",
    ),
    "batchflow_last_advance_timestamp_seconds": (
        "gauge",
        "When a run last advanced from a status.",
    ),
    "batchflow_failures_total": ("counter", "Failures of steps that the store has."),
    "batchflow_oldest_run_age_seconds": (
        "gauge",
        "How long ago the oldest unfinished run at a status changed.",
    ),
    "batchflow_commits_total": ("counter", "Commits with results of a step."),
    "batchflow_chunks_total": ("counter", "Chunks of runs that a step was executed for."),
    "batchflow_executions_total": ("counter", "Executions of a step for a run."),
    "batchflow_step_seconds_total": ("counter", "Time in a step's code, over all workers."),
    "batchflow_queue_seconds_total": ("counter", "Time that a step's chunks waited."),
    "batchflow_commit_seconds_total": ("counter", "Time in commits, by their runs of a step."),
    "batchflow_last_commit_timestamp_seconds": ("gauge", "When results of a step were committed."),
}
_OF_COSTS: Final = (
    "commits",
    "chunks",
    "executions",
    "step_seconds",
    "queue_seconds",
    "commit_seconds",
)


def metrics_text(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Return metrics as text, sorted by metric."""
    return "".join(line for name, found in samples.items() if found for line in _lines(name, found))


def samples_of(
    source: Source, chosen: Iterable[Tables], chunks_in_flight: int
) -> Mapping[str, Sequence[Sample]]:
    """Return the values of all metrics of some workflows, by metric."""
    samples: dict[str, list[Sample]] = {name: [] for name in METRICS}
    samples["batchflow_chunks_in_flight"].append(
        Sample("batchflow_chunks_in_flight", {}, chunks_in_flight)
    )
    has_costs = has_table(source, "commits")
    for tables in chosen:
        parts = [_of_runs(source, tables), _of_log(source, tables)]
        parts += [_of_costs(source, tables)] if has_costs else []
        for sample in chain(*parts):
            samples[sample.metric].append(sample)
    return samples


def _of_runs(source: Source, tables: Tables) -> Iterator[Sample]:
    of_workflow = {"workflow": tables.name}
    for status, run_state, runs in Relation(source, counts_query(tables)).fetchall():
        labels = {**of_workflow, "status": status, "run_state": run_state}
        yield Sample("batchflow_runs", labels, runs)
    oldest = _OLDEST.format(runs=tables.runs, unfinished=UNFINISHED_STATES)
    for status, seconds in Relation(source, oldest).fetchall():
        labels = {**of_workflow, "status": status}
        yield Sample("batchflow_oldest_run_age_seconds", labels, seconds)


def _of_log(source: Source, tables: Tables) -> Iterator[Sample]:
    of_workflow = {"workflow": tables.name}
    failed = Relation(source, _FAILURES.format(errors=tables.errors)).fetchall()
    for step, failures in failed:
        yield Sample("batchflow_failures_total", {**of_workflow, "step": step}, failures)
    if not has_transitions(source, tables):
        return
    moves = Relation(source, _TRANSITIONS.format(transitions=tables.transitions)).fetchall()
    for status, outcome, count, last in moves:
        labels = {**of_workflow, "from_status": status}
        yield Sample("batchflow_transitions_total", {**labels, "outcome": outcome}, count)
        if outcome == "advanced":
            yield Sample("batchflow_last_advance_timestamp_seconds", labels, last)


def _of_costs(source: Source, tables: Tables) -> Iterator[Sample]:
    spent = Relation(source, _COSTS.format(workflow=literal(tables.name))).fetchall()
    for step, *totals, last in spent:
        labels = {"workflow": tables.name, "step": step}
        for name, total in zip(_OF_COSTS, totals, strict=True):
            yield Sample(f"batchflow_{name}_total", labels, total)
        yield Sample("batchflow_last_commit_timestamp_seconds", labels, last)


def _lines(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    kind, text = METRICS[name]
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for sample in samples:
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
        yield f"{name}{f'{{{labels}}}' if labels else ''} {float(sample.value)!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

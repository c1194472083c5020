"""The transitions per second in all shards, in the same buckets of time."""

from __future__ import annotations

from collections.abc import Sequence

from batchflow.access import StoreClient
from batchflow.shards.union import united
from batchflow.store import PlottableRelation
from batchflow.store.query import analysis
from batchflow.store.query.moments import Period


def throughput_of_all(
    clients: Sequence[StoreClient], workflow: str, bucket_seconds: float | None, period: Period
) -> PlottableRelation:
    """Return the transitions per second; see `Questions.throughput`."""
    seconds = _fitting(clients, workflow, period) if bucket_seconds is None else bucket_seconds
    parts = [
        client.throughput(seconds, since=period.since, until=period.until, workflow=workflow)
        for client in clients
    ]
    return united(
        parts,
        "SELECT bucket, status, sum(runs)::BIGINT AS runs, sum(failed)::BIGINT AS failed, "
        f"sum(runs) / {float(seconds)!r} AS runs_per_second FROM shards "
        "GROUP BY bucket, status ORDER BY bucket, status",
    )


def _fitting(clients: Sequence[StoreClient], workflow: str, period: Period) -> int:
    """Return the length of buckets, in seconds, that fits the transitions of all shards."""
    tables = {client: client._tables(workflow) for client in clients}
    spans = [analysis.transition_span(c._source, tables[c], period) for c in clients]
    whole = united(spans, "SELECT min(first), max(last) FROM shards")
    [(first, last)] = whole.fetchall()
    if first is None:
        return analysis.fitting_seconds(0, 0)
    length = analysis.span_length(first, last)
    parts = [analysis.filled_parts(c._source, tables[c], period, first, length) for c in clients]
    [(filled,)] = united(parts, "SELECT count(DISTINCT part) FROM shards").fetchall()
    return analysis.fitting_seconds(filled, length)

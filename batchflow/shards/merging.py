"""How the answers of the shards to each question become the answer of the set.

A run is in one shard with its log and its errors. So sums over the shards are exact, and whatever
isn't a sum is computed from rows that are: the durations from their lengths, not from the
percentiles of each shard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from batchflow.access import StoreClient
from batchflow.operation.options import workflow_name
from batchflow.shards.union import ALL
from batchflow.store.query import analysis
from batchflow.store.query.moments import Period
from batchflow.store.query.relation import Relation
from batchflow.store.query.run_sets import DURATIONS

Ask: TypeAlias = Callable[..., Relation]


@dataclass(frozen=True)
class Merged:
    """A question whose answers are merged by a query over all of them.

    Attributes:
        then: The query; the answers are the table ``shards``.
        ask: The question to each shard; None for the question itself.
        few: Whether the answers have few rows, as there is one for each status, say.
    """

    then: str = ALL
    ask: Ask | None = None
    few: bool = True


@dataclass(frozen=True)
class OfOneShard:
    """A question about one run, which the shard that has the run answers."""


@dataclass(frozen=True)
class OfItsOwn:
    """A question that `Stores` has a method of its own for."""


Merge: TypeAlias = Merged | OfOneShard | OfItsOwn


def _stays(
    client: StoreClient, *, workflow: Any = None, since: Any = None, until: Any = None
) -> Relation:
    tables = client._tables(workflow_name(workflow))
    return analysis.stays(client._source, tables, Period.of(since, until))


MERGES: Final[Mapping[str, Merge]] = {
    "runs": Merged(few=False),
    "counts": Merged(
        "SELECT status, run_state, sum(runs)::BIGINT AS runs FROM shards "
        "GROUP BY ALL ORDER BY status, run_state"
    ),
    "diff": Merged(
        "SELECT from_status, from_run_state, to_status, to_run_state, sum(runs)::BIGINT AS runs, "
        "flatten(list(samples))[:3] AS samples FROM shards GROUP BY ALL "
        "ORDER BY runs DESC, from_status, from_run_state, to_status, to_run_state"
    ),
    "rejected": Merged("FROM shards ORDER BY loaded_at DESC, source, source_row", few=False),
    "costs": Merged(
        "WITH spent AS (SELECT night, step, status, sum(runs)::BIGINT AS runs, "
        "sum(failed)::BIGINT AS failed, sum(commits)::BIGINT AS commits, "
        "sum(chunks)::BIGINT AS chunks, sum(step_seconds) AS step_seconds, "
        "sum(queue_seconds) AS queue_seconds, sum(commit_seconds) AS commit_seconds, "
        "sum(bytes)::BIGINT AS bytes, list(slowest) AS lists FROM shards GROUP BY ALL) "
        "SELECT * EXCLUDE (lists), (SELECT list(slow ORDER BY slow.seconds DESC)[:3] "
        "FROM (SELECT unnest(flatten(lists)) AS slow)) AS slowest "
        "FROM spent ORDER BY night, step_seconds DESC, step"
    ),
    "throughput": OfItsOwn(),
    "durations": Merged(DURATIONS.format(stays="shards"), _stays),
    "transitions": Merged(
        "SELECT from_status, to_status, outcome, sum(runs)::BIGINT AS runs FROM shards "
        "GROUP BY ALL ORDER BY from_status, to_status, outcome"
    ),
    "funnel": Merged(
        "SELECT status, sum(reached)::BIGINT AS reached, sum(here)::BIGINT AS here, "
        'sum("left")::BIGINT AS "left" FROM shards GROUP BY status ORDER BY status'
    ),
    "ages": Merged(
        "SELECT status, sum(runs)::BIGINT AS runs, min(oldest) AS oldest, "
        "max(age_seconds) AS age_seconds, arg_min(run_id, oldest) AS run_id FROM shards "
        "GROUP BY status ORDER BY status"
    ),
    "find": OfOneShard(),
    "get": OfOneShard(),
    "history": OfOneShard(),
    "wait": OfOneShard(),
    "repro": OfItsOwn(),
    "sql": OfItsOwn(),
    "errors": OfItsOwn(),
    "explain": OfItsOwn(),
    "check": OfItsOwn(),
    "metrics": OfItsOwn(),
}
"""Each question by its name."""

"""The failures in all shards by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchflow.access import StoreClient
from batchflow.shards.union import ALL, UnionSource
from batchflow.store.query.causes import Failures
from batchflow.store.query.relation import Relation
from batchflow.store.schema.layout import literal, quote

# The number of a shard's runs that failed at all follows from each of its rows, which has the part.
_PARTS = ("*", "round(runs / share)::BIGINT AS failed", "{shard} AS shard")
_THEN = """
    WITH every AS (
        SELECT sum(failed) AS failed FROM (SELECT DISTINCT shard, failed FROM shards)
    ),
    grouped AS (
        SELECT {names}cause, sum(count)::BIGINT AS count, sum(runs)::BIGINT AS runs,
               sum(affected)::BIGINT AS affected,
               list_sort(list_distinct(flatten(list(steps)))) AS steps,
               min(first_seen) AS first_seen, max(last_seen) AS last_seen,
               arg_max(shards, last_seen) AS latest
        FROM shards GROUP BY ALL
    )
    SELECT {names}cause, latest.description AS description, count, runs, affected,
           runs / failed AS share, steps, first_seen, last_seen, latest.run_id AS run_id,
           latest.type AS type, latest.place AS place, latest.message AS message{traceback}
    FROM grouped CROSS JOIN every
    ORDER BY count DESC, last_seen DESC, cause"""


class SetFailures(Failures):
    """Causes of failures in all shards, from which one gets to their runs and to each failure.

    ``runs()`` and ``all()`` find the causes when they are called, and read the rest when rows are
    read.
    """

    _parts: Sequence[Failures]
    _whole: str

    @classmethod
    def over(cls, parts: Sequence[Failures], *, tracebacks: bool) -> SetFailures:
        """Return the failures of all shards."""
        names = "".join(f"{quote(name)}, " for name in parts[0].by)
        traceback = ", latest.traceback AS traceback" if tracebacks else ""
        sources = [
            part.select(*(each.format(shard=number) for each in _PARTS))
            for number, part in enumerate(parts)
        ]
        made = cls(UnionSource(sources, few=True), _THEN.format(names=names, traceback=traceback))
        made._parts, made._whole = parts, made._query
        return made

    @property
    def by(self) -> Sequence[str]:
        """The columns by which the failures are also grouped."""
        return self._parts[0].by

    def runs(self, *, affected: bool = False) -> Relation:
        """Return the runs that failed so, with all columns; see `Failures.runs`."""
        parts = [part.runs(affected=affected) for part in self._shown()]
        return Relation(UnionSource(parts, few=False), ALL)

    def all(self) -> Relation:
        """Return each of the failures with its traceback; see `Failures.all`."""
        parts = [part.all() for part in self._shown()]
        in_order = "FROM shards ORDER BY committed_at DESC, seq"
        return Relation(UnionSource(parts, few=False), in_order)

    def _shown(self) -> list[Failures]:
        """Return the failures of each shard that this relation has, also if it was narrowed."""
        if self._query == self._whole:
            return list(self._parts)
        names = ("cause", *self.by)
        keys = self.select(*(f"{quote(name)}::VARCHAR" for name in names)).fetchall()
        conditions = (
            " AND ".join(
                f"{quote(name)}::VARCHAR IS NOT DISTINCT FROM {_literal(value)}"
                for name, value in zip(names, key, strict=True)
            )
            for key in keys
        )
        chosen = " OR ".join(f"({each})" for each in conditions) or "false"
        return [part.filter(chosen) for part in self._parts]


def failures_of_all(
    clients: Sequence[StoreClient], cause: str | None, options: Mapping[str, Any]
) -> SetFailures:
    """Return the failures of steps by cause, over all shards; see `Questions.errors`.

    Args:
        clients: The shards that have the workflow.
        cause: The only cause to return; None for all.
        options: The other options of the question.
    """
    having = clients if cause is None else _having_cause(clients, cause, options["workflow"])
    parts = [client.errors(cause, **options) for client in having]
    return SetFailures.over(parts, tracebacks=options["tracebacks"])


def _having_cause(
    clients: Sequence[StoreClient], cause: str, workflow: str
) -> Sequence[StoreClient]:
    """Return the shards with a failure of a cause; the first one, which refuses it, if none has."""
    having = []
    for client in clients:
        known = client.errors(workflow=workflow).filter("cause = $cause", {"cause": cause})
        if known.limit(1).fetchall():
            having.append(client)
    return having or clients[:1]


def _literal(value: str | None) -> str:
    return "NULL" if value is None else literal(value)

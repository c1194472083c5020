"""Periods of time in SQL, and the statuses and run states that runs had at a moment.

The state of a run at a moment is that after its last change until then; the order of its changes is
that of their versions. As in `run_sets`, the runs of 64 consecutive seqs, a *slab*, are a set of
bits. In a slab, the changes of a version have the runs that no change of a later version has. If no
run of a slab has changed since the moment, its runs are as they were, and no change is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError
from batchflow.operation.options import moment_or_none
from batchflow.store.query.run_sets import RUNS, SLAB
from batchflow.store.schema.layout import RUN_STATE_TYPE, literal
from batchflow.store.schema.tables import Tables

# Columns of the state that a run had; `reason` is that of its last change.
_CHANGED: Final = "status, run_state, version, attempt, updated_at, reason"

_INITIATED: Final = f"{literal(RunState.INITIATED.name)}::{RUN_STATE_TYPE}"

# What a change leaves as the number of the next attempt.
_ATTEMPT: Final = """CASE WHEN outcome = 'failed' THEN attempt + 1
    WHEN outcome IN ('paused', 'cancelled', 'edited') THEN attempt ELSE 1 END"""


def sql_moment(moment: datetime) -> str:
    """Return a moment in SQL; no parameter, as those of a predicate may have no names."""
    return f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat())}"


@dataclass(frozen=True)
class Period:
    """The time from a moment on, and before another; without one of them, it has no such end."""

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, since: datetime | timedelta | None, until: datetime | timedelta | None) -> Period:
        """Return the period that a caller gives.

        Raises:
            InvalidOptionError: A moment is neither a datetime nor a timedelta, or the end
                precedes the beginning.
        """
        period = cls(moment_or_none(since, "since"), moment_or_none(until, "until"))
        if period.since and period.until and period.until < period.since:
            raise InvalidOptionError(
                f"until is {period.until}, which precedes since, {period.since}; give a later one.",
                option="until",
            )
        return period

    def has(self, column: str) -> str:
        """Return the condition that a TIMESTAMPTZ is in it."""
        parts = []
        if self.since is not None:
            parts.append(f"{column} >= {sql_moment(self.since)}")
        if self.until is not None:
            parts.append(f"{column} < {sql_moment(self.until)}")
        return " AND ".join(parts) or "true"

    def transitions(self, tables: Tables) -> str:
        """Return the workflow's transitions in it, as a table of a query."""
        if self == ALWAYS:
            return tables.transitions
        return f"(SELECT * FROM {tables.transitions} WHERE {self.has('committed_at')})"


ALWAYS: Final = Period()
"""The period that has all of time."""


def states_at(tables: Tables, moment: datetime | None, *, before: bool = False) -> str:
    """Return the query for ``slab``, ``status``, ``run_state`` and ``runs``, the set of its runs.

    Args:
        tables: Where the workflow's runs are.
        moment: The moment; None is now.
        before: Whether what happened at the moment itself is left out.
    """
    if moment is None:
        return f"SELECT {SLAB}, status, run_state, {RUNS} AS runs FROM {tables.runs} GROUP BY ALL"
    until, after = ("<", ">=") if before else ("<=", ">")
    columns = "status, run_state"
    return f"""
        WITH {_slabs(tables, moment, until, after)},
        changes AS (
            SELECT {SLAB}, version, to_status AS status, run_state, {RUNS} AS runs
            FROM {tables.transitions}
            WHERE committed_at {until} {sql_moment(moment)} AND seq >> 6 IN (FROM touched)
            GROUP BY ALL
            UNION ALL
            SELECT slab, 1, {columns}, runs FROM begun
        )
        SELECT slab, {columns}, runs FROM (
            SELECT slab, {columns}, runs FROM here ANTI JOIN touched USING (slab)
            UNION ALL
            SELECT slab, {columns}, {_LAST} FROM changes
        ) WHERE runs <> 0"""


def runs_at(tables: Tables, moment: datetime, *, with_reasons: bool = True) -> str:
    """Return the query for the runs that there were, with the columns of ``runs``.

    The state that they had is in its columns. ``next_attempt_at`` is NULL, and the fields of the
    object have their present values. Without reasons, as in files of older formats, the reason of
    a run that has changed since is NULL.
    """
    reason = "reason" if with_reasons else "NULL::VARCHAR AS reason"
    at = sql_moment(moment)
    return f"""
        WITH {_slabs(tables, moment, "<=", ">")},
        changes AS (
            SELECT {SLAB}, version, to_status AS status, run_state, {_ATTEMPT} AS attempt,
                   committed_at AS updated_at, {reason}, {RUNS} AS runs
            FROM {tables.transitions}
            WHERE committed_at <= {at} AND seq >> 6 IN (FROM touched)
            GROUP BY ALL
            UNION ALL
            SELECT slab, 1, status, run_state, 1, NULL, NULL, runs FROM begun
        ),
        states AS (
            SELECT slab, {_CHANGED}, runs FROM (
                SELECT * REPLACE ({_LAST} AS runs) FROM changes
            ) WHERE runs <> 0
        )
        SELECT * REPLACE (NULL::TIMESTAMPTZ AS next_attempt_at) FROM {tables.runs}
        WHERE created_at <= {at} AND seq >> 6 NOT IN (FROM touched)
        UNION ALL
        SELECT r.* REPLACE (
            s.status AS status, s.run_state AS run_state, s.version AS version,
            s.attempt AS attempt, coalesce(s.updated_at, r.created_at) AS updated_at,
            s.reason AS reason, NULL::TIMESTAMPTZ AS next_attempt_at
        )
        FROM {tables.runs} AS r JOIN states AS s
        ON r.seq >> 6 = s.slab AND s.runs >> (r.seq & 63)::UBIGINT & 1::UBIGINT = 1::UBIGINT"""


# The runs of a set that no set of a later version has.
_LAST: Final = """runs & ~coalesce(bit_or(runs) OVER (
    PARTITION BY slab ORDER BY version DESC GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
), 0::UBIGINT)"""


def _slabs(tables: Tables, moment: datetime, until: str, after: str) -> str:
    """Return ``here``, ``touched`` and ``begun``, in SQL.

    They are the present states of the runs that there were, the slabs in which any run has changed
    since, and the runs of these slabs as they began.
    """
    at = sql_moment(moment)
    return f"""
        here AS (
            SELECT {SLAB}, status, run_state, version = 1 AS unchanged, {RUNS} AS runs
            FROM {tables.runs} WHERE created_at {until} {at} GROUP BY ALL
        ),
        touched AS MATERIALIZED (
            SELECT DISTINCT seq >> 6 AS slab FROM {tables.transitions}
            WHERE committed_at {after} {at}
        ),
        begun AS (
            SELECT slab, f.status, {_INITIATED} AS run_state,
                   f.runs & created.runs AS runs
            FROM (
                SELECT {SLAB}, from_status AS status, {RUNS} AS runs FROM {tables.transitions}
                WHERE version = 2 AND committed_at {after} {at} GROUP BY ALL
            ) AS f
            JOIN (
                SELECT slab, bit_or(runs) AS runs FROM here SEMI JOIN touched USING (slab)
                GROUP BY slab
            ) AS created USING (slab)
            UNION ALL
            SELECT slab, status, run_state, runs FROM here SEMI JOIN touched USING (slab)
            WHERE unchanged
        )"""

"""How runs move through their workflow, as counted over all of them in SQL."""

from __future__ import annotations

from typing import Final

from batchflow.definition.run_state import RunState
from batchflow.errors import QueryError
from batchflow.store.layout import literal
from batchflow.store.queries import has_transitions
from batchflow.store.relation import Params, Relation, Source
from batchflow.store.tables import Tables

_MICROSECONDS: Final = 1_000_000

_UNFINISHED: Final = ", ".join(literal(state.name) for state in RunState if not state.finished)

THROUGHPUT: Final = """
    SELECT to_timestamp(floor(epoch_us(committed_at) / $bucket) * $bucket / 1e6) AS bucket,
           from_status AS status, count(*) AS runs,
           count(*) / ($bucket / 1e6) AS runs_per_second
    FROM {transitions}
    GROUP BY bucket, status
    ORDER BY bucket, status"""

# A run's creation is its first arrival, so one window over both kinds of moments finds, for each
# departure, the arrival before it.
DURATIONS: Final = """
    WITH moments AS (
        SELECT seq, NULL AS status, 0 AS version, created_at AS moment FROM {runs}
        UNION ALL
        SELECT seq, from_status, version, committed_at FROM {transitions}
        WHERE outcome = 'advanced'
    ),
    stays AS (
        SELECT status, (epoch_us(moment) - epoch_us(lag(moment) OVER (
            PARTITION BY seq ORDER BY version))) / 1e6 AS seconds
        FROM moments
    ),
    measured AS (
        SELECT status, count(*) AS runs, max(seconds) AS longest,
               approx_quantile(seconds, [0.5, 0.95, 0.99]) AS quantiles
        FROM stays WHERE status IS NOT NULL GROUP BY status
    )
    SELECT status, runs, quantiles[1] AS p50_seconds, quantiles[2] AS p95_seconds,
           quantiles[3] AS p99_seconds, longest AS max_seconds
    FROM measured
    ORDER BY status"""

TRANSITIONS: Final = """
    SELECT from_status, to_status, outcome, count(*) AS runs
    FROM {transitions}
    GROUP BY ALL
    ORDER BY from_status, to_status, outcome"""

# Who ever was at a status is there now or has left it, so arrivals needn't be looked at.
FUNNEL: Final = """
    WITH kind AS (SELECT (SELECT status FROM {runs} LIMIT 0) AS status),
    statuses AS (
        SELECT cast_to_type(name, (SELECT status FROM kind)) AS status
        FROM (SELECT unnest(enum_range(status)) AS name FROM kind)
    ),
    seen AS (
        SELECT seq, status, true AS stands, false AS gone FROM {runs}
        UNION ALL
        SELECT seq, from_status, false, true FROM {transitions}
        WHERE outcome = 'advanced' AND from_status <> to_status
    ),
    visits AS (
        SELECT status, seq, bool_or(stands) AS stands, bool_or(gone) AS gone
        FROM seen GROUP BY status, seq
    ),
    counted AS (
        SELECT status, count(*) AS reached, count(*) FILTER (stands) AS here,
               count(*) FILTER (gone) AS gone
        FROM visits GROUP BY status
    )
    SELECT status, coalesce(reached, 0) AS reached, coalesce(here, 0) AS here,
           coalesce(gone, 0) AS "left"
    FROM statuses LEFT JOIN counted USING (status)
    ORDER BY status"""

AGES: Final = """
    SELECT status, count(*) AS runs, min(updated_at) AS oldest,
           (epoch_us(now()) - epoch_us(min(updated_at))) / 1e6 AS age_seconds,
           arg_min(run_id, updated_at) AS run_id
    FROM {runs}
    WHERE run_state IN ({unfinished})
    GROUP BY status
    ORDER BY status"""

STANDING: Final = """
    SELECT status, run_state, count(*) AS runs,
           count(*) FILTER (attempt > 1 AND run_state IN ({unfinished})) AS failing
    FROM {runs}
    GROUP BY status, run_state
    ORDER BY status, run_state"""


def throughput(source: Source, tables: Tables, bucket_seconds: float) -> Relation:
    """Return ``bucket`` (its beginning), ``status``, ``runs``, ``runs_per_second``.

    Raises:
        QueryError: transitions aren't recorded, or the buckets have no length.
    """
    if not _is_length(bucket_seconds):
        raise QueryError(
            f"bucket_seconds is {bucket_seconds!r}; give a number of seconds above 0, like 60."
        )
    bucket = {"bucket": round(bucket_seconds * _MICROSECONDS)}
    return _of_transitions(source, tables, THROUGHPUT, bucket)


def durations(source: Source, tables: Tables) -> Relation:
    """Return ``status``, ``runs``, ``p50_seconds``, ``p95_…``, ``p99_…`` and ``max_seconds``.

    Raises:
        QueryError: transitions aren't recorded.
    """
    return _of_transitions(source, tables, DURATIONS)


def transitions(source: Source, tables: Tables) -> Relation:
    """Return ``from_status``, ``to_status``, ``outcome``, ``runs``.

    Raises:
        QueryError: transitions aren't recorded.
    """
    return _of_transitions(source, tables, TRANSITIONS)


def funnel(source: Source, tables: Tables) -> Relation:
    """Return ``status``, ``reached``, ``here``, ``left``: a row for each status there is.

    Raises:
        QueryError: transitions aren't recorded.
    """
    return _of_transitions(source, tables, FUNNEL)


def ages(source: Source, tables: Tables) -> Relation:
    """Return ``status``, ``runs``, ``oldest``, ``age_seconds``, ``run_id``, of unfinished runs."""
    return Relation(source, AGES.format(runs=tables.runs, unfinished=_UNFINISHED))


def standing(source: Source, tables: Tables) -> Relation:
    """Return ``status``, ``run_state``, ``runs`` and ``failing``: unfinished, and failed there."""
    return Relation(source, STANDING.format(runs=tables.runs, unfinished=_UNFINISHED))


def _is_length(seconds: object) -> bool:
    # DuckDB divides as a DOUBLE, which counts whole microseconds up to there.
    return isinstance(seconds, int | float) and 1 <= seconds * _MICROSECONDS < 2**53


def _of_transitions(source: Source, tables: Tables, query: str, params: Params = None) -> Relation:
    if not has_transitions(source, tables):
        raise QueryError(
            f"The workflow {tables.name!r} was defined with record_transitions=False, and this is "
            "counted from its transitions; leave that option out to have them recorded from now on."
        )
    text = query.format(runs=tables.runs, transitions=tables.transitions)
    return Relation(source, text, params)

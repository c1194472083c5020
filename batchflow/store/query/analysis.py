"""Questions about how runs move, counted over all of them in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchflow import chart
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.queries import has_transitions
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES, status_counts_query
from batchflow.store.query.run_sets import DURATIONS, FUNNEL
from batchflow.store.query.source import Source
from batchflow.store.schema.tables import Tables

if TYPE_CHECKING:
    from batchflow.chart import Chart

_MICROSECONDS: Final = 1_000_000

# Lengths that begin at full minutes, hours and days.
_BUCKET_SECONDS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400),
)
_MOST_BUCKETS: Final = 120
_PARTS: Final = 1_000

# The shortest of these lengths for which the recorded transitions make at most 120 buckets. Of
# several nights in a store, only the times with transitions count: the parts of a thousand.
FITTING_BUCKET: Final = f"""(
    WITH whole AS (
        SELECT min(epoch_us(committed_at)) AS first,
               greatest(max(epoch_us(committed_at)) - first, {_PARTS}) AS length
        FROM {{transitions}}
    ),
    recorded AS (
        SELECT count(DISTINCT (epoch_us(committed_at) - first) * {_PARTS} // length)
               * any_value(length) / {_PARTS} / 1e6 AS total
        FROM {{transitions}}, whole
    )
    SELECT coalesce(min(seconds), {max(_BUCKET_SECONDS)}) * {_MICROSECONDS}::DOUBLE
    FROM (SELECT unnest([{", ".join(map(str, _BUCKET_SECONDS))}]) AS seconds), recorded
    WHERE coalesce(total, 0) <= seconds * {_MOST_BUCKETS})"""

THROUGHPUT: Final = """
    WITH bucketed AS (SELECT {bucket} AS length)
    SELECT to_timestamp(floor(epoch_us(committed_at) / length) * length / 1e6) AS bucket,
           from_status AS status, count(*) AS runs,
           count(*) FILTER (outcome = 'failed') AS failed,
           count(*) / (any_value(length) / 1e6) AS runs_per_second
    FROM {transitions}, bucketed
    WHERE outcome NOT IN ('resumed', 'edited', 'retried')
    GROUP BY bucket, status
    ORDER BY bucket, status"""

TRANSITIONS: Final = """
    SELECT from_status, to_status, outcome, count(*) AS runs
    FROM {transitions}
    GROUP BY ALL
    ORDER BY from_status, to_status, outcome"""

AGES: Final = """
    SELECT status, count(*) AS runs, min(updated_at) AS oldest,
           (epoch_us(now()) - epoch_us(min(updated_at))) / 1e6 AS age_seconds,
           arg_min(run_id, updated_at) AS run_id
    FROM {runs}
    WHERE run_state IN ({unfinished})
    GROUP BY status
    ORDER BY status"""


def throughput(
    source: Source, tables: Tables, bucket_seconds: float | None = None
) -> PlottableRelation:
    """Return ``bucket`` (its beginning), ``status``, ``runs``, ``failed``, ``runs_per_second``.

    Without a length, buckets get one for which the recorded transitions fill about a hundred.

    Raises:
        InvalidOptionError: The buckets have no length.
    """
    if bucket_seconds is None:
        bucket = FITTING_BUCKET.format(transitions=tables.transitions)
    elif _is_length(bucket_seconds):
        bucket = f"{round(bucket_seconds * _MICROSECONDS)}::DOUBLE"
    else:
        raise InvalidOptionError(
            f"bucket_seconds is {bucket_seconds!r}; give a number of seconds above 0, like 60.",
            option="bucket_seconds",
        )
    return _of_transitions(source, tables, THROUGHPUT, chart.THROUGHPUT, bucket=bucket)


def durations(source: Source, tables: Tables) -> PlottableRelation:
    """Return ``status``, ``runs``, ``p50_seconds``, ``p95_…``, ``p99_…`` and ``max_seconds``."""
    return _of_transitions(source, tables, DURATIONS, chart.DURATIONS)


def transitions(source: Source, tables: Tables) -> PlottableRelation:
    """Return ``from_status``, ``to_status``, ``outcome``, ``runs``."""
    return _of_transitions(source, tables, TRANSITIONS, chart.TRANSITIONS)


def funnel(source: Source, tables: Tables) -> PlottableRelation:
    """Return ``status``, ``reached``, ``here``, ``left``: a row for each status there is."""
    return _of_transitions(source, tables, FUNNEL, chart.FUNNEL)


def ages(source: Source, tables: Tables) -> PlottableRelation:
    """Return ``status``, ``runs``, ``oldest``, ``age_seconds``, ``run_id``, of unfinished runs."""
    query = AGES.format(runs=tables.runs, unfinished=UNFINISHED_STATES)
    return PlottableRelation(source, query, chart.AGES.of(tables.name))


def status_counts(source: Source, tables: Tables) -> Relation:
    """Return ``status``, ``run_state``, ``runs`` and ``failing``: unfinished, and failed there."""
    return Relation(source, status_counts_query(tables))


def _is_length(seconds: object) -> bool:
    # DuckDB divides as a DOUBLE, which counts whole microseconds up to there.
    return isinstance(seconds, int | float) and 1 <= seconds * _MICROSECONDS < 2**53


def _of_transitions(
    source: Source, tables: Tables, query: str, drawn_as: Chart, **parts: str
) -> PlottableRelation:
    text = query.format(runs=tables.runs, transitions=tables.transitions, **parts)

    def explain(error: QueryError) -> QueryError:
        return error if has_transitions(source, tables) else _not_recorded(tables)

    question = Question(text, explain)
    return PlottableRelation(source, text, drawn_as.of(tables.name), question=question)


def _not_recorded(tables: Tables) -> QueryError:
    return QueryError(
        f"The workflow {tables.name!r} was defined with record_transitions=False, and this is "
        "counted from its transitions; leave that option out to have them recorded from now on."
    )

"""Questions about how runs move, counted over all of them in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from batchflow import chart
from batchflow.errors import InvalidOptionError
from batchflow.store.query.moments import Period, states_at
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.queries import question_about_log
from batchflow.store.query.relation import Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES, status_counts_query
from batchflow.store.query.run_sets import DURATIONS, FUNNEL, STAYS, samples_of
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
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
    WHERE outcome NOT IN ('resumed', 'edited', 'retried'){by_steps}
    GROUP BY bucket, status
    ORDER BY bucket, status"""

# Steps pause and cancel runs too, but not at the moment of an operation.
_BY_STEPS: Final = """
      AND NOT (outcome IN ('paused', 'cancelled') AND committed_at IN (
          SELECT performed_at FROM batchflow.operations
          WHERE workflow = {workflow} AND outcome IN ('paused', 'cancelled')))"""

TRANSITIONS: Final = """
    SELECT from_status, to_status, outcome, count(*) AS runs
    FROM {transitions}
    GROUP BY ALL
    ORDER BY from_status, to_status, outcome"""

COUNTS_AT: Final = """
    SELECT status, run_state, sum(bit_count(runs))::BIGINT AS runs FROM ({states})
    GROUP BY ALL ORDER BY status, run_state"""

DIFF: Final = """
    WITH before AS ({before}),
    after AS ({after}),
    moved AS (
        SELECT b.status AS from_status, b.run_state AS from_run_state,
               a.status AS to_status, a.run_state AS to_run_state, slab, a.runs & b.runs AS runs
        FROM after AS a JOIN before AS b USING (slab)
        WHERE a.runs & b.runs <> 0 AND (a.status <> b.status OR a.run_state <> b.run_state)
        UNION ALL
        SELECT NULL, NULL, a.status, a.run_state, slab, a.runs & ~coalesce(b.runs, 0::UBIGINT)
        FROM after AS a LEFT JOIN (
            SELECT slab, bit_or(runs) AS runs FROM before GROUP BY slab
        ) AS b USING (slab)
        WHERE a.runs & ~coalesce(b.runs, 0::UBIGINT) <> 0
    )
    SELECT from_status, from_run_state, to_status, to_run_state,
           sum(bit_count(runs))::BIGINT AS runs,
           {samples} AS samples
    FROM moved GROUP BY ALL
    ORDER BY runs DESC, from_status, from_run_state, to_status, to_run_state"""

AGES: Final = """
    SELECT status, count(*) AS runs, min(updated_at) AS oldest,
           (epoch_us(now()) - epoch_us(min(updated_at))) / 1e6 AS age_seconds,
           arg_min(run_id, updated_at) AS run_id
    FROM {runs}
    WHERE run_state IN ({unfinished})
    GROUP BY status
    ORDER BY status"""


def throughput(
    source: Source,
    tables: Tables,
    bucket_seconds: float | None,
    period: Period,
    *,
    logs_operations: bool,
) -> PlottableRelation:
    """Return ``bucket`` (its beginning), ``status``, ``runs``, ``failed``, ``runs_per_second``.

    Without a length, buckets get one for which the recorded transitions fill about a hundred.
    A file of the first format has no log of operations.

    Raises:
        InvalidOptionError: The buckets have no length.
    """
    transitions = period.transitions(tables)
    if bucket_seconds is None:
        bucket = FITTING_BUCKET.format(transitions=transitions)
    elif _is_length(bucket_seconds):
        bucket = f"{round(bucket_seconds * _MICROSECONDS)}::DOUBLE"
    else:
        raise InvalidOptionError(
            f"bucket_seconds is {bucket_seconds!r}; give a number of seconds above 0, like 60.",
            option="bucket_seconds",
        )
    by_steps = _BY_STEPS.format(workflow=literal(tables.name)) if logs_operations else ""
    query = THROUGHPUT.format(transitions=transitions, bucket=bucket, by_steps=by_steps)
    return _of_transitions(source, tables, query, chart.THROUGHPUT)


def transition_span(source: Source, tables: Tables, period: Period) -> Relation:
    """Return ``first`` and ``last``, when the first and the last transition were, in µs."""
    query = (
        "SELECT min(epoch_us(committed_at)) AS first, max(epoch_us(committed_at)) AS last "
        f"FROM {period.transitions(tables)}"
    )
    return Relation(source, query, question=question_about_log(source, tables, query))


def filled_parts(
    source: Source, tables: Tables, period: Period, first: int, length: int
) -> Relation:
    """Return the thousandths of a span of time, in µs, in which there is a transition."""
    query = (
        f"SELECT DISTINCT (epoch_us(committed_at) - {first}) * {_PARTS} // {length} AS part "
        f"FROM {period.transitions(tables)}"
    )
    return Relation(source, query)


def span_length(first: int, last: int) -> int:
    """Return the length of a span of time in µs, of which a bucket can be a part."""
    return max(last - first, _PARTS)


def fitting_seconds(parts: int, length: int) -> int:
    """Return the length of buckets that fits the thousandths of a span that have transitions."""
    total = parts * length / _PARTS / _MICROSECONDS
    fitting = (each for each in _BUCKET_SECONDS if total <= each * _MOST_BUCKETS)
    return next(fitting, max(_BUCKET_SECONDS))


def durations(source: Source, tables: Tables, period: Period) -> PlottableRelation:
    """Return ``status``, ``runs``, ``p50_seconds``, ``p95_…``, ``p99_…`` and ``max_seconds``."""
    query = DURATIONS.format(stays=f"({_stays(tables, period)})")
    return _of_transitions(source, tables, query, chart.DURATIONS)


def stays(source: Source, tables: Tables, period: Period) -> Relation:
    """Return ``status``, ``runs``, ``longest`` and ``length``, in µs, which `durations` ranks."""
    query = _stays(tables, period)
    return Relation(source, query, question=question_about_log(source, tables, query))


def _stays(tables: Tables, period: Period) -> str:
    return STAYS.format(
        runs=tables.runs,
        transitions=Period(until=period.until).transitions(tables),
        within=period.has("make_timestamptz(d.moment)"),
    )


def transitions(source: Source, tables: Tables, period: Period) -> PlottableRelation:
    """Return ``from_status``, ``to_status``, ``outcome``, ``runs``."""
    query = TRANSITIONS.format(transitions=period.transitions(tables))
    return _of_transitions(source, tables, query, chart.TRANSITIONS)


def funnel(source: Source, tables: Tables, period: Period) -> PlottableRelation:
    """Return ``status``, ``reached``, ``here``, ``left``: a row for each status there is."""
    query = FUNNEL.format(
        runs=tables.runs,
        states=states_at(tables, period.until, before=True),
        transitions=period.transitions(tables),
    )
    return _of_transitions(source, tables, query, chart.FUNNEL)


def counts_at(source: Source, tables: Tables, moment: datetime) -> PlottableRelation:
    """Return ``status``, ``run_state``, ``runs`` as they were at a moment."""
    query = COUNTS_AT.format(states=states_at(tables, moment))
    return _of_transitions(source, tables, query, chart.COUNTS)


def diff(source: Source, tables: Tables, period: Period) -> Relation:
    """Return how many runs went from each status and run state to each other in a period.

    Its columns are ``from_status``, ``from_run_state``, ``to_status``, ``to_run_state``, ``runs``
    and ``samples``.
    """
    query = DIFF.format(
        before=states_at(tables, period.since),
        after=states_at(tables, period.until),
        samples=samples_of(tables.run_id_base),
    )
    return Relation(source, query, question=question_about_log(source, tables, query))


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
    source: Source, tables: Tables, query: str, drawn_as: Chart
) -> PlottableRelation:
    question = question_about_log(source, tables, query)
    return PlottableRelation(source, query, drawn_as.of(tables.name), question=question)

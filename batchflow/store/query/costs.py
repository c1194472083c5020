"""The costs of steps and commits, by night."""

from __future__ import annotations

from typing import Final

from batchflow.store.query.later_tables import has_table
from batchflow.store.query.moments import Period
from batchflow.store.query.queries import has_transitions
from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.tables import Tables

_BLOCK_BYTES: Final = 262_144
_MOST_SLOW: Final = 3

# For files of older formats.
_NO_COSTS: Final = """
    SELECT NULL::DATE AS night, NULL::VARCHAR AS step, NULL::VARCHAR AS status,
           NULL::BIGINT AS runs, NULL::BIGINT AS failed, NULL::BIGINT AS commits,
           NULL::BIGINT AS chunks, NULL::DOUBLE AS step_seconds, NULL::DOUBLE AS queue_seconds,
           NULL::DOUBLE AS commit_seconds, NULL::BIGINT AS bytes,
           NULL::STRUCT(run_id UUID, seconds DOUBLE)[] AS slowest
    WHERE false"""

# As a number of days, because the calendar takes ten times as long. A night is named by the day on
# which it begins, at noon.
_NIGHT: Final = "(epoch_us(committed_at) - 43_200_000_000) // 86_400_000_000"

_COSTS: Final = f"""
    WITH spent AS (
        SELECT {_NIGHT} AS day, step, status, sum(runs)::BIGINT AS runs,
               sum(failed)::BIGINT AS failed, count(*) AS commits, sum(chunks)::BIGINT AS chunks,
               sum(step_seconds) AS step_seconds, sum(queue_seconds) AS queue_seconds,
               sum(commit_seconds) AS commit_seconds
        FROM batchflow.commits WHERE workflow = {{workflow}} AND {{period}} GROUP BY ALL
    ),
    slow AS (
        SELECT {_NIGHT} AS day, step, status,
               list({{{{
                   'run_id': CAST({{base}}::UHUGEINT + seq::UHUGEINT AS UUID), 'seconds': seconds
               }}}} ORDER BY seconds DESC)[:{_MOST_SLOW}] AS slowest
        FROM batchflow.slow_runs WHERE workflow = {{workflow}} AND {{period}} GROUP BY ALL
    ),
    logged AS ({{logged}}),
    of_night AS (SELECT day, status, sum(bytes)::BIGINT AS bytes FROM logged GROUP BY ALL)
    SELECT DATE '1970-01-01' + day::INTEGER AS night, step, status, runs, failed, commits, chunks,
           step_seconds, queue_seconds, commit_seconds, coalesce(bytes, 0) AS bytes, slowest
    FROM spent
    LEFT JOIN of_night USING (day, status)
    LEFT JOIN slow USING (day, step, status)
    ORDER BY night, step_seconds DESC, step"""

# The part of a table's blocks by its part of the rows.
_LOGGED: Final = f"""
    SELECT {_NIGHT} AS day, {{status}}::VARCHAR AS status,
           count(*) / sum(count(*)) OVER () * (
               SELECT count(DISTINCT block_id) * {_BLOCK_BYTES}
               FROM pragma_storage_info({{name}}) WHERE persistent
           ) AS bytes
    FROM {{table}} GROUP BY ALL"""


def costs(source: Source, tables: Tables, period: Period) -> Relation:
    """Return what each step cost in each night; `Questions.costs` lists the columns."""
    if not has_table(source, "commits"):
        return Relation(source, _NO_COSTS)
    logs = [(tables.errors, "errors", "status")]
    if has_transitions(source, tables):
        logs += [
            (tables.transitions_without_reason, "transitions_without_reason", "from_status"),
            (tables.transitions_with_reason, "transitions_with_reason", "from_status"),
        ]
    logged = " UNION ALL ".join(
        _LOGGED.format(
            table=table, status=status, name=literal(f"{quote(tables.name)}.{quote(name)}")
        )
        for table, name, status in logs
    )
    query = _COSTS.format(
        workflow=literal(tables.name),
        period=period.has("committed_at"),
        base=tables.run_id_base,
        logged=logged,
    )
    return Relation(source, query)

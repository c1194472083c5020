"""What people ask of a store: relations, each on a cursor of its own, so none holds up a writer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb

from batchflow.chunk.reading import read_values
from batchflow.errors import QueryError, RunNotFoundError
from batchflow.store.fetching import fetch
from batchflow.store.instance import Cursor
from batchflow.store.layout import SEQ_BITS, Layout
from batchflow.store.tables import Tables
from batchflow.store.wording import cause, said

if TYPE_CHECKING:
    import pyarrow as pa

EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(\([^()]*\)|ANALYZE\b)?", re.IGNORECASE)

TRANSITIONS_OF_RUN = """
    SELECT t.committed_at, t.from_status, t.to_status, t.outcome, t.run_state, t.attempt,
           t.version, e.step AS failed_step, e.type AS error_type, e.message AS error_message
    FROM {transitions} AS t
    LEFT JOIN {errors} AS e
      ON e.seq = t.seq AND e.status = t.from_status AND e.attempt = t.attempt
     AND e.committed_at = t.committed_at AND t.outcome = 'failed'
    WHERE t.seq = $seq
    ORDER BY t.version"""

# The same columns, for a store in which failures alone are recorded.
FAILURES_OF_RUN = """
    SELECT e.committed_at, e.status AS from_status, e.status AS to_status, 'failed' AS outcome,
           NULL::VARCHAR AS run_state, e.attempt, NULL::INTEGER AS version,
           e.step AS failed_step, e.type AS error_type, e.message AS error_message
    FROM {errors} AS e
    WHERE e.seq = $seq
    ORDER BY e.committed_at, e.attempt"""

HAS_TABLE = """
    SELECT 1 FROM duckdb_tables()
    WHERE database_name = current_database()
      AND lower(schema_name) = lower(?) AND table_name = ?"""

READS_ALONE = (
    "A query is one statement that reads (SELECT, FROM, DESCRIBE, SUMMARIZE, EXPLAIN); "
    "change runs with pause, resume and cancel."
)

ERRORS_BY_FINGERPRINT = """
    SELECT fingerprint, count(*) AS count, count(DISTINCT seq) AS runs,
           min(committed_at) AS first_seen, max(committed_at) AS last_seen,
           list_sort(list(DISTINCT step)) AS steps, any_value(type) AS type,
           arg_max(message, committed_at) AS message
    FROM {errors}
    GROUP BY fingerprint
    ORDER BY count DESC, last_seen DESC, fingerprint"""


def sql(
    reader: Cursor, query: str, params: Sequence[Any] | Mapping[str, Any] | None
) -> duckdb.DuckDBPyRelation:
    """Return the relation of a query that reads; ``params`` are bound to ``?`` or ``$name``.

    Raises:
        QueryError: it isn't one statement that reads, or DuckDB refuses it.
    """
    _refuse_unless_reading(reader, query)
    try:
        with _reading(reader):
            return reader.sql(query, params=params)
    except duckdb.TransactionException as error:
        raise QueryError(READS_ALONE) from error
    except duckdb.Error as error:
        raise QueryError(f"The query can't be executed: {said(error)}") from cause(error)


def runs(reader: Cursor, tables: Tables, where: str | None) -> duckdb.DuckDBPyRelation:
    """Return the runs that a predicate over their columns chooses, or all."""
    query = f"SELECT * FROM {tables.runs}"
    if where is None:
        return reader.sql(query)
    condition = predicate(reader, tables, where)
    try:
        return reader.sql(f"{query} WHERE {condition}")
    except duckdb.Error as error:
        raise refused_predicate(tables, where, error) from cause(error)


def counts(reader: Cursor, tables: Tables) -> duckdb.DuckDBPyRelation:
    """Return ``status``, ``run_state``, ``runs``, in the order of the statuses."""
    return reader.sql(
        f"SELECT status, run_state, count(*) AS runs FROM {tables.runs} "
        "GROUP BY ALL ORDER BY status, run_state"
    )


def errors(reader: Cursor, tables: Tables) -> duckdb.DuckDBPyRelation:
    """Return the failures by fingerprint, the most frequent first.

    Its columns are ``fingerprint``, ``count``, ``runs``, ``first_seen``, ``last_seen``, ``steps``,
    ``type``, and ``message``, which is that of the latest.
    """
    return reader.sql(ERRORS_BY_FINGERPRINT.format(errors=tables.errors))


def history(reader: Cursor, tables: Tables, run_id: UUID) -> duckdb.DuckDBPyRelation:
    """Return the transitions of one run in their order, with the error of each that failed.

    Where transitions aren't recorded, these are its failures alone.

    Raises:
        RunNotFoundError: there is no such run.
    """
    seq = existing_seq(reader, tables, run_id)
    recorded = reader.execute(HAS_TABLE, [tables.name, "transitions"]).fetchall()
    query = TRANSITIONS_OF_RUN if recorded else FAILURES_OF_RUN
    text = query.format(transitions=tables.transitions, errors=tables.errors)
    return reader.sql(text, params={"seq": seq})


def get(cursor: Cursor, layout: Layout, run_id: UUID) -> dict[str, Any]:
    """Return a run's columns by name; those of the object as the values that a step sees.

    Raises:
        RunNotFoundError: there is no such run.
    """
    query = f"SELECT * FROM {layout.runs} WHERE seq = $seq"
    row = fetch(cursor.sql(query, params={"seq": seq_of(layout, run_id)}))
    if not row.num_rows:
        raise not_found(run_id)
    fields = {field.column: field.type for field in layout.fields}
    return {
        name: read_values(column, fields[name])[0] if name in fields else column[0].as_py()
        for name, column in zip(row.column_names, _arrays(row), strict=True)
    }


def existing_seq(cursor: Cursor, tables: Tables, run_id: UUID) -> int:
    """Return a run's seq, or raise RunNotFoundError."""
    seq = seq_of(tables, run_id)
    if not cursor.execute(f"SELECT 1 FROM {tables.runs} WHERE seq = ?", [seq]).fetchall():
        raise not_found(run_id)
    return seq


def predicate(cursor: Cursor, tables: Tables, where: str) -> str:
    """Return a user's predicate as one condition, or raise QueryError."""
    _require_text(where, "predicate")
    # On lines of its own, so that a comment at its end doesn't swallow the parenthesis.
    condition = f"(\n{where}\n)"
    try:
        statements = cursor.extract_statements(f"SELECT 1 WHERE {condition}")
    except duckdb.Error as error:
        raise refused_predicate(tables, where, error) from cause(error)
    if len(statements) != 1:
        raise QueryError(f"The predicate {where!r} is more than a predicate; give one condition.")
    return condition


def refused_predicate(tables: Tables, where: str, error: duckdb.Error) -> QueryError:
    """Build the error that says what DuckDB found, and which columns there are."""
    return QueryError(
        f"The predicate {where!r} can't be executed: {said(error)}. The runs of "
        f"{tables.name!r} have the columns {', '.join(tables.column_names)}."
    )


def not_found(run_id: UUID) -> RunNotFoundError:
    """Build the error that there is no such run."""
    return RunNotFoundError(
        f"There is no run {run_id} in this store; check the run id and the store's path."
    )


def is_of(tables: Tables, run_id: UUID) -> bool:
    """Tell whether the id is one that this workflow's runs could have."""
    require_run_id(run_id)
    return run_id.int >> SEQ_BITS == tables.run_id_base >> SEQ_BITS


def require_run_id(run_id: object) -> None:
    """Raise QueryError unless it is an id."""
    if not isinstance(run_id, UUID):
        raise QueryError(f"The run id is {run_id!r}; give a uuid.UUID, as trigger answers.")


def _require_text(given: object, what: str) -> None:
    if not isinstance(given, str):
        raise QueryError(f"The {what} is of type {type(given).__name__}; give SQL text.")
    if given != given.encode("utf-8", "replace").decode("utf-8"):
        raise QueryError(f"The {what} has half a surrogate pair, which no SQL text can have.")


def _refuse_unless_reading(reader: Cursor, query: str) -> None:
    _require_text(query, "query")
    try:
        types = [statement.type for statement in reader.extract_statements(query)]
        if types == [duckdb.StatementType.EXPLAIN]:
            # What is explained may be executed: EXPLAIN ANALYZE.
            explained = EXPLAIN.sub("", query, count=1)
            types = [statement.type for statement in reader.extract_statements(explained)]
    except duckdb.Error as error:
        raise QueryError(f"The query can't be parsed: {error}") from error
    if types != [duckdb.StatementType.SELECT]:
        raise QueryError(READS_ALONE)


@contextmanager
def _reading(reader: Cursor) -> Iterator[None]:
    """Have DuckDB refuse what would write, such as a DELETE in a WITH: it runs at once."""
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        reader.rollback()


def seq_of(tables: Tables, run_id: UUID) -> int:
    """Return the seq of a run with this id, whether there is one or not."""
    if not is_of(tables, run_id):
        raise not_found(run_id)
    return run_id.int - tables.run_id_base


def _arrays(row: pa.Table) -> list[pa.Array]:
    return [column.combine_chunks() for column in row.columns]

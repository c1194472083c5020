"""Questions about the runs of a workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from batchflow.chart import COUNTS
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation.parameters import Params, plain_params
from batchflow.store.query.catalog import Catalog, FoundRun
from batchflow.store.query.keyword_names import quoting_hint
from batchflow.store.query.known_names import (
    members_of,
    members_of_log,
    sentence,
    unknown_in_query,
    unknown_name,
)
from batchflow.store.query.later_tables import has_table
from batchflow.store.query.moments import ALWAYS, Period, runs_at
from batchflow.store.query.parse_tree import NOT_ONE_QUERY, ONLY_READS, parse_tree, type_of
from batchflow.store.query.permission import require_reading, require_text
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES, counts_query
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
from batchflow.store.schema.run_id import run_not_found
from batchflow.store.schema.tables import Tables

_SHOWN_CHARACTERS: Final = 200

TRANSITIONS_OF_RUN = """
    SELECT t.committed_at, t.from_status, t.to_status, t.outcome, t.run_state, t.attempt,
           t.version, {reason} AS reason,
           e.step AS failed_step, e.type AS error_type, e.message AS error_message{traceback}
    FROM {transitions} AS t
    LEFT JOIN {errors} AS e
      ON e.seq = t.seq AND e.status = t.from_status AND e.attempt = t.attempt
     AND e.committed_at = t.committed_at AND t.outcome = 'failed'
    WHERE t.seq = $seq AND {period}
    ORDER BY t.version"""

# The same columns, for a store in which failures alone are recorded.
FAILURES_OF_RUN = """
    SELECT e.committed_at, e.status AS from_status, e.status AS to_status, 'failed' AS outcome,
           NULL::VARCHAR AS run_state, e.attempt, NULL::INTEGER AS version,
           NULL::VARCHAR AS reason,
           e.step AS failed_step, e.type AS error_type, e.message AS error_message{traceback}
    FROM {errors} AS e
    WHERE e.seq = $seq AND {period}
    ORDER BY e.committed_at, e.attempt"""

# Counts columns, because the transitions are a view, and in a file of an older format a table.
LOOK_UP_RUN = """
    SELECT EXISTS (FROM {runs} WHERE seq = $seq),
           count(*) FILTER (table_name = 'transitions' AND column_name = 'seq') > 0,
           count(*) FILTER (table_name = 'transitions' AND column_name = 'reason') > 0,
           count(*) FILTER (table_name = 'operations') > 0
    FROM duckdb_columns()
    WHERE database_name = current_database()
      AND (lower(schema_name), table_name) IN (
          (lower($workflow), 'transitions'), ('batchflow', 'operations'))"""

# Where a file of format 2 has the reasons.
REASON_OF_OPERATION = """(
    SELECT any_value(o.reason) FROM batchflow.operations AS o
    WHERE o.workflow = {workflow} AND o.performed_at = t.committed_at
      AND o.outcome = t.outcome::VARCHAR)"""

HAS_TRANSITIONS = """
    SELECT 1 FROM duckdb_columns()
    WHERE database_name = current_database()
      AND lower(schema_name) = lower(?) AND table_name = 'transitions' LIMIT 1"""

HAS_REASONS = f"{HAS_TRANSITIONS.removesuffix('LIMIT 1')} AND column_name = 'reason'"

REJECTED = """
    SELECT load_id, loaded_at, source, source_row, foreign_id, reason, detail, record
    FROM {rejected}
    WHERE {period}
    ORDER BY loaded_at DESC, source, source_row"""

# The same columns, for a file of an older format, which has no rejected rows.
NONE_REJECTED = """(
    SELECT NULL::BIGINT AS load_id, NULL::TIMESTAMPTZ AS loaded_at, NULL::VARCHAR AS source,
           NULL::BIGINT AS source_row, NULL::VARCHAR AS foreign_id, NULL::VARCHAR AS reason,
           NULL::VARCHAR AS detail, NULL::VARCHAR AS record
    WHERE false)"""

ERRORS_BEFORE = """
    SELECT count(*) FROM {errors}
    WHERE {before} AND seq IN (SELECT seq FROM {runs} WHERE run_state IN ({unfinished}))"""


def runs(
    source: Source,
    tables: Tables,
    where: str | None,
    params: Params = None,
    as_of: datetime | None = None,
) -> Relation:
    """Return the runs that a predicate over their columns chooses, or all.

    With a moment, these are the runs and their states as they were then.
    """
    if as_of is None:
        every, question = f"SELECT * FROM {tables.runs}", None
    else:
        reasons = bool(Relation(source, HAS_REASONS, [tables.name]).fetchall())
        every = f"SELECT * FROM ({runs_at(tables, as_of, with_reasons=reasons)}) AS runs"
        question = question_about_log(source, tables, every)
    bound = plain_params(params)
    members = members_of(tables)
    if where is None:
        if bound:
            raise InvalidOptionError(
                "params are given without a predicate; give one.", option="params"
            )
        return Relation(source, every, question=question, members=members)
    query = f"{every} WHERE {predicate(tables, where, bound)}"

    def explain(error: QueryError) -> QueryError:
        if as_of is not None and not has_transitions(source, tables):
            return _not_recorded(tables)
        return refused_predicate(tables, where, error.found)

    question = Question(query, explain, bound)
    return Relation(source, query, bound, question, members=members)


def counts(source: Source, tables: Tables) -> PlottableRelation:
    """Return ``status``, ``run_state``, ``runs``, in the order of the statuses."""
    return PlottableRelation(source, counts_query(tables), COUNTS.of(tables.name))


def count_errors_before(source: Source, tables: Tables, before: datetime | None) -> int:
    """Return how many failures of unfinished runs were stored before a time; None counts all."""
    parts = {"errors": tables.errors, "runs": tables.runs, "unfinished": UNFINISHED_STATES}
    if before is None:
        query, params = ERRORS_BEFORE.format(before="true", **parts), {}
    else:
        query = ERRORS_BEFORE.format(before="committed_at < $before", **parts)
        params = {"before": before}
    [(count,)] = Relation(source, query, params).fetchall()
    return int(count)


def rejected(source: Source, tables: Tables, period: Period = ALWAYS) -> Relation:
    """Return the rows of loads in a period that were left out, the latest load first.

    Its columns are ``load_id``, ``loaded_at``, ``source``, ``source_row``, ``foreign_id``,
    ``reason``, ``detail``, and the row as JSON in ``record``.
    """
    kept = has_table(source, "rejected")
    rows = f"(FROM batchflow.rejected WHERE workflow = {literal(tables.name)})"
    text = REJECTED.format(rejected=rows if kept else NONE_REJECTED, period=period.has("loaded_at"))
    return Relation(source, text)


def history(
    source: Source, run: FoundRun, period: Period = ALWAYS, *, tracebacks: bool = False
) -> Relation:
    """Return the transitions of one run in their order, with the error of each that failed.

    Where transitions aren't recorded, these are its failures only. With `tracebacks`, the last
    column is the ``traceback`` of the error.

    Raises:
        RunNotFoundError: There is no such run.
    """
    tables, seq = run.tables, run.seq
    look_up = LOOK_UP_RUN.format(runs=tables.runs)
    params = {"seq": seq, "workflow": tables.name}
    [(exists, recorded, *reasons)] = Relation(source, look_up, params).fetchall()
    if not exists:
        raise run_not_found(run.run_id)
    query = TRANSITIONS_OF_RUN if recorded else FAILURES_OF_RUN
    reason = _reason(tables.name, *reasons)
    text = query.format(
        transitions=tables.transitions,
        errors=tables.errors,
        reason=reason,
        period=period.has("t.committed_at" if recorded else "e.committed_at"),
        traceback=", e.traceback AS traceback" if tracebacks else "",
    )
    return Relation(source, text, {"seq": seq}, members=members_of_log(tables))


def _reason(workflow: str, in_transitions: bool, in_operations: bool) -> str:
    """Return where the reason of a transition is; older formats of the file have it elsewhere."""
    if in_transitions:
        return "t.reason"
    if in_operations:
        return REASON_OF_OPERATION.format(workflow=literal(workflow))
    return "NULL::VARCHAR"


def has_transitions(source: Source, tables: Tables) -> bool:
    """Return whether the workflow's transitions are recorded."""
    return bool(Relation(source, HAS_TRANSITIONS, [tables.name]).fetchall())


def require_names_of(catalog: Catalog, query: str, params: Params) -> None:
    """Raise QueryError if a query compares a column of a workflow with a name that it can't have.

    What the text doesn't show to be such a column is left to DuckDB.
    """
    found = unknown_in_query(query, lambda: catalog.tables(None).values(), params)
    if found is not None:
        raise QueryError(f"The query can't be executed: {sentence(found)}", found=found)


def question_about_log(source: Source, tables: Tables, query: str) -> Question:
    """Return a query of the transitions, with the reason why there may be none."""

    def explain(error: QueryError) -> QueryError:
        return error if has_transitions(source, tables) else _not_recorded(tables)

    return Question(query, explain)


def _not_recorded(tables: Tables) -> QueryError:
    return QueryError(
        f"The workflow {tables.name!r} was defined with record_transitions=False, and this is "
        "counted from its transitions; leave that option out to have them recorded from now on."
    )


def predicate(tables: Tables, where: str, params: Params = None) -> str:
    """Return a user's predicate as one condition.

    Raises:
        QueryError: It is something else, or compares a status or another ENUM with an unknown name.
    """
    require_text(where, "predicate")
    try:
        require_one_condition(where)
    except QueryError as error:
        raise refused_predicate(tables, where, error.found) from error.__cause__
    found = unknown_name(where, tables, params)
    if found is not None:
        raise QueryError(
            f"The predicate {_shown(where)!r} can't be executed: {sentence(found)}", found=found
        )
    kind = _type_if_not_boolean(tables, where, params)
    if kind is not None:
        raise refused_predicate(
            tables, where, f"its type is {kind}, and a predicate has the type BOOLEAN"
        )
    return condition(where)


def _type_if_not_boolean(tables: Tables, where: str, params: Params) -> str | None:
    # DuckDB would convert a number or a text, so a forgotten comparison would choose nearly all.
    root = parse_tree(f"SELECT 1 WHERE\n{where}\n")["node"].get("where_clause", {})
    if root.get("class") in ("COMPARISON", "CONJUNCTION", "BETWEEN"):
        return None
    columns = dict(zip(tables.column_names, tables.column_types, strict=True))
    kind = type_of(where, columns, params)
    return None if kind == "BOOLEAN" else kind


def require_one_condition(where: str) -> None:
    """Raise QueryError unless a text is one condition, with and without our parentheses."""
    try:
        for text in (where, condition(where)):
            require_reading(f"SELECT 1 WHERE\n{text}\n")
    except QueryError as error:
        if error.found != NOT_ONE_QUERY:
            raise
        raise QueryError(ONLY_READS, found="it is more than one condition") from None


def condition(where: str) -> str:
    """Return a predicate in parentheses, on lines of its own, as its end may be a comment."""
    return f"(\n{where}\n)"


def refused_predicate(tables: Tables, where: str, found: str) -> QueryError:
    """Build the error that says what DuckDB found, and which columns there are."""
    hint = quoting_hint(where, found, tables.column_names)
    return QueryError(
        f"The predicate {_shown(where)!r} can't be executed: {sentence(found)}{hint} The runs of "
        f"{tables.name!r} have the columns {', '.join(tables.column_names)}.",
        found=found,
    )


def _shown(where: str) -> str:
    """Return a predicate as a message shows it: a list of ten thousand ids isn't read."""
    if len(where) <= _SHOWN_CHARACTERS:
        return where
    return f"{where[: _SHOWN_CHARACTERS // 2]} … {where[-_SHOWN_CHARACTERS // 2 :]}"

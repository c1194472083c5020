"""The features by which runs are compared: columns, members of nested columns, and the source."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.definition.fields import ENGINE_COLUMNS
from batchflow.store.query.parse_tree import parse_tree
from batchflow.store.query.slices.conditions import is_numeric, is_time, member_of, readable_name
from batchflow.store.query.tree_parts import nodes
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import Tables

SOURCE: Final = "_batchflow_source"
"""The column of the compared runs with the file that each was loaded from."""

WORKER: Final = "_batchflow_worker"
"""The column of the compared runs with the worker that executed a step for each."""

ENUM: Final = "ENUM"
"""The type of all ENUMs, whose names are compared as texts."""

WIDE_TYPES: Final = frozenset({"VARCHAR", "BLOB"})
"""The types whose values take long to decompress."""

_LENGTH_OF: Final = {"list": "len", "array": "len", "map": "cardinality"}
# They follow from how often a run failed, so they say nothing about why.
_OF_FAILURES: Final = frozenset({"run_state", "attempt", "next_attempt_at", "reason", "version"})
_LOGS: Final = frozenset({"errors", "transitions"})
_TYPE_OF_ENUM: Final = re.compile(r"ENUM\(.*\)", re.DOTALL)


class Shape(enum.Enum):
    """How the values of a feature are divided into conditions."""

    VALUES = "values"
    RANGES = "ranges"


@dataclass(frozen=True)
class Feature:
    """An expression over runs by which they are compared.

    Attributes:
        column: The column that it is of. Two features of one column aren't combined.
        expression: Its SQL.
        subject: The SQL that conditions have in its place.
        sql_type: The SQL type of its values.
        shape: How its values are divided.
        given: Whether runs have it from their beginning; otherwise it is where and when they were
            executed, which may follow from a failure.
        listed: Another table that has the value of each range of runs: the query for its rows, and
            the column with the value. None if the runs have it themselves.
    """

    column: str
    expression: str
    subject: str
    sql_type: str
    shape: Shape
    given: bool = True
    listed: tuple[str, str] | None = None


def features_of(
    tables: Tables, left_out: Collection[str], *, sources: bool, step: str | None
) -> list[Feature]:
    """Return the features of the runs of a workflow.

    Args:
        tables: Where its tables are.
        left_out: The columns that aren't compared, in lower case.
        sources: Whether the runs of loaded files are known.
        step: The step whose workers are compared; None if they aren't known.
    """
    features = [
        feature
        for name, kind in zip(tables.column_names, tables.column_types, strict=True)
        if name not in ENGINE_COLUMNS and name.casefold() not in left_out
        for feature in _of_column(name, DuckDBPyType(kind))
    ]
    if sources:
        features.append(_listed(SOURCE, files_of(tables), "path", given=True))
    features += [
        _hours_of("created_at", given=True),
        _hours_of("updated_at", given=False),
        Feature("attempt", "attempt", "attempt", "INTEGER", Shape.RANGES, given=False),
    ]
    if step is not None:
        features.append(_listed(WORKER, chunks_of(tables, step), "worker", given=False))
    return [each for each in features if each.column.casefold() not in left_out]


def files_of(tables: Tables) -> str:
    """Return the part of a query that reads the files that were loaded into a workflow."""
    return f"FROM batchflow.loads WHERE workflow = {literal(tables.name)}"


def chunks_of(tables: Tables, step: str) -> str:
    """Return the part of a query that reads the chunks of a step."""
    of_step = f"workflow = {literal(tables.name)} AND step = {literal(step)}"
    return f"FROM batchflow.chunks WHERE {of_step}"


def _listed(column: str, rows: str, value: str, *, given: bool) -> Feature:
    kind = "VARCHAR"
    return Feature(column, column, column, kind, Shape.VALUES, given, (rows, value))


def columns_of_predicate(where: str) -> set[str]:
    """Return the columns that a predicate chooses by, in lower case: they explain nothing.

    With those that are about failures, the others about failures are left out as well.
    """
    tree = parse_tree(f"SELECT 1 WHERE\n{where}\n")["node"].get("where_clause")
    # The columns of a subquery are of another table.
    parts = nodes(tree, but_for="subquery")
    found = {str(name).casefold() for part in parts for name in part.get("column_names", ())}
    logs = any(str(part.get("table_name", "")).casefold() in _LOGS for part in nodes(tree))
    return found | (_OF_FAILURES if logs or found & _OF_FAILURES else set())


def _hours_of(column: str, *, given: bool) -> Feature:
    # A moment is at or after a full hour if its hour is.
    hour = f"date_trunc('hour', {column})"
    return Feature(column, hour, column, "TIMESTAMP WITH TIME ZONE", Shape.RANGES, given)


def _of_column(name: str, kind: DuckDBPyType) -> Iterator[Feature]:
    if kind.id == "struct":
        for member, inner in kind.children:
            expression = member_of(name, str(member))
            yield from _of_values(expression, expression, inner)
    else:
        yield from _of_values(name, readable_name(name), kind)


def _of_values(column: str, expression: str, kind: Any) -> Iterator[Feature]:
    sql_type = str(kind)
    if kind.id in _LENGTH_OF:
        length = f"{_LENGTH_OF[kind.id]}({expression})"
        yield Feature(column, length, length, "BIGINT", Shape.RANGES)
    elif kind.id == "struct":
        # One level deep; of the members of members, only whether there are any.
        yield Feature(
            column, f"({expression} IS NULL)", f"({expression} IS NULL)", "BOOLEAN", Shape.VALUES
        )
    else:
        # A single value is simpler than a range that only has this value.
        if not is_time(sql_type):
            shown = ENUM if _TYPE_OF_ENUM.fullmatch(sql_type) else sql_type
            yield Feature(column, expression, expression, shown, Shape.VALUES)
        if is_numeric(sql_type) or is_time(sql_type):
            yield Feature(column, expression, expression, sql_type, Shape.RANGES)

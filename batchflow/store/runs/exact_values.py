"""Values of SQL expressions for fields: each is stored exactly, or is refused.

DuckDB's casts round numbers, cut off times and read texts. A SQL expression may give a field what a
Python step may give it, so what a cast could change is checked as a column of a batch step is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import duckdb
import pyarrow as pa

from batchflow.columns.array_writing import write_column
from batchflow.columns.intervals import holds_durations, with_durations
from batchflow.columns.size_limits import MAX_BYTES_PER_VALUE, ColumnTooLargeError
from batchflow.columns.value_reading import read_values
from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.field_type import FieldType, Kind
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import type_name

_INTEGERS: Final = frozenset(
    f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")
) | {"INTEGER", "UINTEGER"}
_EXACT_AS_DOUBLE: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE"}
)
_EXACT: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.INT: ("INTEGER",),
    Kind.DECIMAL: ("INTEGER",),
    Kind.ENUM: ("VARCHAR", "ENUM"),
}
_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_DIGITS_OF_DOUBLE: Final = 15
_NO_VALUE: Final = '"NULL"'
_FIRST, _LAST = "0001-01-01", "9999-12-31"


@dataclass(frozen=True)
class ExactValue:
    """An expression for a field, and the type that it has in DuckDB.

    Attributes:
        field_type: The type of the field.
        expression: The expression.
        sql_type: Its own type, before it is cast to the field's.
    """

    field_type: FieldType
    expression: str
    sql_type: str

    @property
    def cast(self) -> str:
        """Return the expression, cast to the field's type."""
        return f"CAST({self.in_parentheses} AS {self.field_type.sql})"

    @property
    def in_parentheses(self) -> str:
        """Return the expression, so that nothing can follow it; it may end with a comment."""
        return f"({self.expression}\n)"

    @property
    def raw(self) -> str:
        """Return the expression for `written`: cast only if that is exact or raises an error."""
        return self.cast if self._casts_exactly else self.in_parentheses

    @property
    def condition(self) -> str | None:
        """Return the condition, over ``{0}``, that the cast is exact; "" if it always is.

        None if SQL can't decide it.
        """
        if self.sql_type == _NO_VALUE or self._casts_exactly:
            return ""
        if decimal := _DECIMAL.fullmatch(self.sql_type):
            return self._condition_of_decimal(int(decimal[2]))
        return _CONDITIONS.get((self.field_type.kind, _family(self.sql_type)))

    @property
    def checked(self) -> str | None:
        """Return SQL that casts it to the field's type, and raises an error if that isn't exact.

        It may evaluate the expression several times. None if SQL can't decide whether it is exact.
        """
        condition = self.condition
        if not condition:
            return None if condition is None else self.cast
        holds = condition.format(self.in_parentheses)
        return f"CASE WHEN ({holds}) IS NOT FALSE THEN {self.cast} ELSE error('inexact') END"

    def over(self, column: str) -> ExactValue:
        """Return the same of a column with the values of the expression."""
        return replace(self, expression=column)

    def _condition_of_decimal(self, scale: int) -> str | None:
        match self.field_type.kind:
            case Kind.INT:
                return "{0} = trunc({0})"
            case Kind.FLOAT:
                # Every number of fifteen digits is the shortest form of a double.
                limit = f"1e{_DIGITS_OF_DOUBLE - scale}"
                return f"abs(CAST({{0}} AS DOUBLE)) < {limit}"
            case Kind.DECIMAL:
                return f"CAST({{0}} AS {self.field_type.sql}) = {{0}}"
            case _:
                return None

    @property
    def _casts_exactly(self) -> bool:
        kind, decimal = self.field_type.kind, _DECIMAL.fullmatch(self.sql_type)
        if decimal and kind is Kind.FLOAT:
            return int(decimal[1]) <= _DIGITS_OF_DOUBLE
        if decimal and kind is Kind.DECIMAL:
            return bool(int(decimal[2]) <= self.field_type.arrow.scale)
        if kind in (Kind.BOOL, Kind.UUID):
            return self._has_type_of_field
        return _family(self.sql_type) in _EXACT.get(kind, ()) or (
            kind is Kind.FLOAT and self.sql_type in _EXACT_AS_DOUBLE
        )

    @property
    def _has_type_of_field(self) -> bool:
        return self.sql_type == type_name(self.field_type.sql)

    def written(self, array: pa.Array) -> WrittenColumn:
        """Return the values of `raw` as a column of the field, and which of them don't fit.

        Arrow and the classes of fields may raise anything at a value, such as at a list with an
        infinite date, which then is a problem of its own run.
        """
        try:
            return self._written(array)
        except (ColumnTooLargeError, MemoryError):
            raise
        except Exception as error:
            if len(array) <= 1:
                nothing = write_values([None] * len(array), self.field_type.or_none())
                problem = f"a value that raises {type(error).__name__} when it is read"
                return replace(nothing, problems=dict.fromkeys(range(len(array)), problem))
        middle = len(array) // 2
        return _joined(self.written(array[:middle]), self.written(array[middle:]))

    def _written(self, array: pa.Array) -> WrittenColumn:
        field_type = self.field_type
        if holds_durations(field_type) or (field_type.kind.nested and self._has_type_of_field):
            return self._through_python(array)
        return write_column(array, field_type)

    def _through_python(self, array: pa.Array) -> WrittenColumn:
        """Convert values of types that only the store has."""
        if not self._has_type_of_field and self.sql_type != _NO_VALUE:
            return write_values(array.to_pylist(), self.field_type)
        if self.field_type.kind is Kind.TIMEDELTA:
            return write_column(with_durations(array, self.field_type), self.field_type)
        return write_values(read_values(array, self.field_type), self.field_type)


def exact_values(
    cursor: Cursor,
    rows: str,
    expressions: Mapping[str, tuple[str, FieldType]],
    parameters: dict[str, object] | None = None,
) -> dict[str, ExactValue]:
    """Return the expressions with their types, by the names of their fields.

    Args:
        cursor: A cursor of the store.
        rows: The table over whose columns they are, and the condition for its rows.
        expressions: For each field, the expression and the field's type.
        parameters: The values of the parameters in the condition and the expressions.

    Raises:
        duckdb.Error: DuckDB can't bind an expression.
    """
    if not expressions:
        return {}
    selected = ", ".join(f"({expression}\n)" for expression, _ in expressions.values())
    described = cursor.execute(f"DESCRIBE SELECT {selected} FROM {rows}", parameters).fetchall()
    return {
        name: ExactValue(field_type, expression, row[1])
        for (name, (expression, field_type)), row in zip(
            expressions.items(), described, strict=True
        )
    }


def checked_cast(
    cursor: Cursor, rows: str, value: ExactValue, parameters: dict[str, object]
) -> str | None:
    """Return SQL that casts the value to its field's type, and raises an error if that isn't exact.

    None if there is no such SQL, because a condition would evaluate the expression a second time,
    with another result.
    """
    if not value.condition:
        return value.checked
    try:
        query = f"EXPLAIN SELECT TRY({value.expression}\n) FROM {rows}"
        cursor.execute(query, parameters).fetchall()
    except duckdb.BinderException:
        # TRY accepts neither volatile functions nor subqueries.
        return None
    return value.checked


def _joined(first: WrittenColumn, second: WrittenColumn) -> WrittenColumn:
    rows = len(first.array)
    problems = {rows + row: found for row, found in second.problems.items()}
    array = pa.concat_arrays([first.array, second.array])
    return WrittenColumn(array, {**first.problems, **problems})


def _family(sql_type: str) -> str:
    return "INTEGER" if sql_type in _INTEGERS else sql_type.partition("(")[0]


def _in_range(sql_type: str, last: str) -> str:
    return f"{{0}} BETWEEN {sql_type} '{_FIRST}' AND {sql_type} '{last}'"


_WHOLE: Final = "{0} = trunc({0}) AND abs({0}) < 9007199254740992"
_CONDITIONS: Final[Mapping[tuple[Kind, str], str]] = {
    (Kind.INT, "DOUBLE"): _WHOLE,
    (Kind.INT, "FLOAT"): _WHOLE,
    (Kind.FLOAT, "INTEGER"): "{0} BETWEEN -9007199254740992 AND 9007199254740992",
    (Kind.STR, "VARCHAR"): f"strlen({{0}}) <= {MAX_BYTES_PER_VALUE}",
    (Kind.BYTES, "BLOB"): f"octet_length({{0}}) <= {MAX_BYTES_PER_VALUE}",
    (Kind.DATE, "DATE"): _in_range("DATE", _LAST),
    (Kind.DATETIME, "TIMESTAMP"): _in_range("TIMESTAMP", f"{_LAST} 23:59:59.999999"),
    (Kind.DATETIME_UTC, "TIMESTAMP WITH TIME ZONE"): _in_range(
        "TIMESTAMPTZ", f"{_LAST} 23:59:59.999999+00"
    ).replace(f"'{_FIRST}'", f"'{_FIRST} 00:00:00+00'"),
}

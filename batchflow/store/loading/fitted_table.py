"""Fit a table to a workflow's fields in the DuckDB that reads it.

Only values of the fields' types cross to the store, so a column of another type can't be changed
on the way, and one that is no field doesn't matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.columns.intervals import holds_durations
from batchflow.columns.wrong_keys import wrong_key
from batchflow.definition.fields import Field, FieldType
from batchflow.errors import SourceError
from batchflow.store.loading.column_fit import fit_required
from batchflow.store.loading.column_match import FOREIGN_ID_COLUMN, ColumnMatch, match_columns
from batchflow.store.loading.exact_cast import Fit, child_types, parts_of
from batchflow.store.loading.file_shape import FILE, absent_mark
from batchflow.store.loading.member_defaults import members_lacked
from batchflow.store.schema.layout import quote

KEY: Final = "#foreign_id"
MISFIT: Final = "#misfit"
"""The column of the position of a row's first field whose value doesn't fit, or null."""
FOUND: Final = "#found"
"""The column of the text of the value that doesn't fit, where messages may show it."""
NOTE: Final = "#note"
"""The column of a phrase for the value that doesn't fit, without the value."""
RECORD: Final = "#record"
"""The column of a row that doesn't fit, as JSON."""

TEXT_TYPES: Final = frozenset({"varchar", "enum"})
FOREIGN_ID_TYPES: Final = frozenset(
    {
        *TEXT_TYPES,
        *("uuid", "tinyint", "smallint", "integer", "bigint", "hugeint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
    }
)
SHOWN_CHARACTERS: Final = 100
# Whole numbers that ascend are recognised as distinct, but not their texts.
_NUMBERS: Final = frozenset({"INTEGER", "BIGINT"})


@dataclass(frozen=True)
class ReadTable:
    """A table before it is fitted.

    Attributes:
        label: What messages call it.
        table: The SQL that follows FROM.
        columns: The types by column.
        folders: The columns of text of the fields that only the folders of its files state, by
            field.
        refused: The columns that state whether the value of a column is refused, by that column.
        absent: The columns that state whether a row's record lacks the key of a column, by that
            column.
        lacked: The columns that state whether a row's record lacks a member of a nested value, by
            that member.
        written: The column of the row as its file has it, if there is one.
        of_files: Whether it has the column FILE.
    """

    label: str
    table: str
    columns: Mapping[str, DuckDBPyType]
    folders: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    lacked: Mapping[str, str] = field(default_factory=dict)
    written: str | None = None
    of_files: bool = False


@dataclass(frozen=True)
class Wanted:
    """The fields that a load fills, and its options for reading.

    Attributes:
        fields: The workflow's fields.
        foreign_id: The column with the foreign ids, if it was named.
        strict: Whether other columns are refused.
        log_values: Whether messages show values.
    """

    fields: Sequence[Field]
    foreign_id: str | None = None
    strict: bool = False
    log_values: bool = False

    @property
    def names(self) -> set[str]:
        """Return the names of the columns that may be loaded, in lower case."""
        key = self.foreign_id or FOREIGN_ID_COLUMN
        return {each.lower() for each in (key, *(field.name for field in self.fields))}


@dataclass(frozen=True)
class FittedTable:
    """A table as a load reads it.

    Attributes:
        table: The SQL that follows FROM: KEY, a column for each field that the table has, and
            MISFIT, FOUND and RECORD; also those of `absent` and `lacked`, and FILE, if the table is
            of files.
        match: The columns.
        key_name: What messages call the column of foreign ids.
        absent: The columns that state whether a row takes a field's default, by field.
        lacked: The columns that state whether a member of a nested field takes its default in a
            row, by that member; None for one that takes it in each row.
    """

    table: str
    match: ColumnMatch
    key_name: str
    absent: Mapping[str, str]
    lacked: Mapping[str, str | None]

    @property
    def marks_of_lacked(self) -> list[str]:
        """Return the columns of `lacked`."""
        return [mark for mark in self.lacked.values() if mark is not None]


def fit_table(table: ReadTable, wanted: Wanted) -> FittedTable:
    """Match a table's columns to the fields, and convert their values.

    Raises:
        SourceError: The table lacks the column of a field without a default, or of the foreign
            ids, or has columns of types that can't be converted.
    """
    inside = [each for each in wanted.fields if each.name not in table.folders]
    names = list(table.columns)
    match = match_columns(table.label, names, inside, wanted.foreign_id, wanted.strict)
    fields = [
        each for each in wanted.fields if each.name in match.columns or each.name in table.folders
    ]
    fitting = _Fitting(table, match, wanted.log_values)
    select = fitting.select(fields)
    own = ColumnMatch(KEY, {each.name: each.name for each in fields})
    inside_types = (
        member
        for each in fields
        if each.name in match.columns
        for member in members_lacked(table.columns[match.columns[each.name]], each.type, each.name)
    )
    lacked = {**table.lacked, **dict.fromkeys(inside_types)}
    return FittedTable(select, own, match.foreign_id, fitting.absent, lacked)


def require_convertible(label: str, problems: Sequence[str]) -> None:
    """Raise SourceError if there are problems with the types of columns."""
    if problems:
        raise SourceError(f"{label} has columns that can't be converted: {'; '.join(problems)}.")


def type_problem(column: str, found: DuckDBPyType, expected: FieldType) -> str:
    """Return what messages state about a column whose type can't be converted."""
    wrong = wrong_key(_shape_of(found), expected, any_case=True)
    shown = f"{found} {wrong}" if wrong else str(found)
    return f"{column!r} is {shown}, which can't become {expected} without loss (convert it in SQL)"


def _shape_of(found: DuckDBPyType) -> Any:
    """Return a value with the keys of a type."""
    if found.id == "struct":
        names = (str(name) for name, _ in found.children)
        return {name: _shape_of(kind) for name, kind in zip(names, child_types(found), strict=True)}
    if found.id in ("list", "array"):
        return [_shape_of(child_types(found)[0])]
    return {"": _shape_of(child_types(found)[1])} if found.id == "map" else None


class _Fitting:
    """The SQL of one table's values."""

    def __init__(self, table: ReadTable, match: ColumnMatch, log_values: bool) -> None:
        self._table = table
        self._match = match
        self._log_values = log_values
        self.absent: dict[str, str] = {}
        self._values: list[str] = []
        self._misfits: list[tuple[str, int, str]] = []
        self._problems: list[str] = []
        self._raw: dict[str, str] = {}
        self._computed_before: list[str] = []

    def select(self, fields: Sequence[Field]) -> str:
        self._add_key()
        for position, each in enumerate(fields, 1):
            self._add_field(each, position)
        require_convertible(self._table.label, self._problems)
        self._add(f"CAST({self._case('{1}')} AS SMALLINT)", MISFIT)
        found = f"left(CAST({{2}} AS VARCHAR), {SHOWN_CHARACTERS})" if self._log_values else "NULL"
        self._add(f"CAST({self._case(found)} AS VARCHAR)", FOUND)
        misfit = " OR ".join(f"({misfit})" for misfit, *_ in self._misfits)
        self._add(f"CASE WHEN {misfit} THEN {self._record()} END", RECORD)
        for mark in self._table.lacked.values():
            self._add(quote(mark), mark)
        if self._table.of_files:
            self._add(quote(FILE), FILE)
        before = "".join(f", {each}" for each in self._computed_before)
        table = f"(SELECT *{before} FROM {self._table.table})" if before else self._table.table
        return f"(SELECT {', '.join(self._values)} FROM {table})"

    def _record(self) -> str:
        if self._table.written is not None:
            return f"CAST({quote(self._table.written)} AS VARCHAR)"
        parts = ", ".join(f"{quote(name)} := {raw}" for name, raw in self._raw.items())
        return f"CAST(to_json(struct_pack({parts})) AS VARCHAR)"

    def _add(self, value: str, name: str) -> None:
        self._values.append(f"{value} AS {quote(name)}")

    def _add_refused(self, column: str, position: int) -> None:
        if column in self._table.refused:
            self._misfits.append((quote(self._table.refused[column]), position, quote(column)))

    def _computed(self, fitting: Fit) -> tuple[str, str | None]:
        """Return a value and its misfit; a long fit becomes a column, as both are used often."""
        if fitting.both is None:
            return fitting.value, fitting.misfit
        name = f"#fit_{len(self._computed_before)}"
        while name in self._table.columns:
            name = f"#{name}"
        self._computed_before.append(f"{fitting.both} AS {quote(name)}")
        found = parts_of(quote(name))
        return found.value, found.misfit

    def _case(self, then: str) -> str:
        cases = (f"WHEN {misfit[0]} THEN {then.format(*misfit)}" for misfit in self._misfits)
        return f"CASE {' '.join(cases)} END"

    def _add_key(self) -> None:
        column = self._match.foreign_id
        found = self._table.columns[column]
        if found.id not in FOREIGN_ID_TYPES:
            self._problems.append(
                f"{column!r} is {found}, but a foreign id is a text or an integer"
            )
        value = quote(column)
        self._raw[column] = value
        empty = f" OR CAST({value} AS VARCHAR) = ''" if found.id in TEXT_TYPES else ""
        self._misfits.append((f"{value} IS NULL{empty}", 0, value))
        self._add_refused(column, 0)
        self._add(value if str(found) in _NUMBERS else f"CAST({value} AS VARCHAR)", KEY)

    def _add_field(self, each: Field, position: int) -> None:
        column = self._match.columns.get(each.name)
        if column is None:
            source, raw = DuckDBPyType("VARCHAR"), quote(self._table.folders[each.name])
        else:
            source, raw = self._table.columns[column], quote(column)
        self._raw[column or each.name] = raw
        fitting = fit_required(source, each.type, raw)
        if fitting is None:
            self._problems.append(type_problem(column or each.name, source, each.type))
            return
        self._add_refused(column or each.name, position)
        value, misfit = self._computed(fitting)
        if column is not None and column in self._table.absent:
            misfit = self._misfit_of_present(each, self._table.absent[column], misfit)
        if misfit is not None:
            self._misfits.append((misfit, position, raw))
            # Durations cross in nanoseconds, so those beyond 292 years would overflow.
            if holds_durations(each.type):
                value = f"CASE WHEN {misfit} THEN NULL ELSE {value} END"
        self._add(f"CAST({value} AS {each.type.sql})", each.name)

    def _misfit_of_present(self, each: Field, absent: str, misfit: str | None) -> str | None:
        """Return the condition that the value doesn't fit, where some records lack the key."""
        if each.required:
            return f"{quote(absent)} OR ({misfit})" if misfit else quote(absent)
        self.absent[each.name] = absent_mark(each.name)
        self._add(quote(absent), self.absent[each.name])
        return f"NOT {quote(absent)} AND ({misfit})" if misfit else None

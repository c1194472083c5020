"""Check a source's rows before any of them is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from batchflow.columns.value_writing import describe
from batchflow.columns.wrong_keys import wrong_key
from batchflow.definition.fields import Field
from batchflow.errors import InvalidRowsError
from batchflow.operation.load_report import FilledColumns, InvalidColumn
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.field_defaults import is_made_per_run
from batchflow.store.loading.fitted_table import FOUND, MISFIT, NOTE, RECORD, SHOWN_CHARACTERS
from batchflow.store.loading.ledger import SourceFile
from batchflow.store.loading.load_plan import STAGED_ID, LoadedColumn
from batchflow.store.loading.sources import LoadSource
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.schema.layout import Layout, literal, quote

STAGE: Final = "temp.batchflow_stage"
SAMPLE_ROWS: Final = 5

_MISFIT: Final = quote(MISFIT)
_FOUND: Final = quote(FOUND)
_NOTE: Final = quote(NOTE)
STAGED_RECORD: Final = quote(RECORD)
VALID: Final = f"{_MISFIT} IS NULL"


@dataclass(frozen=True)
class Load:
    """One load.

    Attributes:
        layout: Where the runs are stored.
        source: The rows.
        columns: The source's columns that are loaded, the foreign id first.
        defaults: The SQL of the other fields' values, by column of ``runs``.
        options: The options of the load.
        code: The status where the runs begin.
        now: The time of the runs' creation.
        claimed: The runs that a drain has claimed.
        log_values: Whether messages may show values that don't fit.
        file: The file that is the source, if it is one.
        load_id: The file's entry in the ledger.
        missing: The fields that the source has no column for.
        partial: The fields that some of the source's records lack the key of.
        unfilled: The fields and members that rows lack, but none of those that are loaded.
    """

    layout: Layout
    source: LoadSource
    columns: Sequence[LoadedColumn]
    defaults: dict[str, str]
    options: TriggerMany
    code: int
    now: datetime
    claimed: ClaimedRuns
    log_values: bool = False
    file: SourceFile | None = None
    load_id: int | None = None
    missing: Sequence[Field] = ()
    partial: Sequence[Field] = ()
    unfilled: frozenset[str] = frozenset()

    @property
    def source_name(self) -> str:
        """Return what the table of rejected rows calls the source."""
        return self.source.label if self.file is None else self.file.path

    @property
    def source_columns(self) -> list[str]:
        """Return the columns of the source that are read."""
        return [*(column.column for column in self.columns), *self.absent.values()]

    @property
    def absent(self) -> dict[str, str]:
        """Return the columns that state whether a row takes a default, by column of ``runs``."""
        return {column.into: column.absent for column in self.columns if column.absent}

    @property
    def made_per_run(self) -> list[Field]:
        """Return the fields whose default a factory makes for each run that takes it."""
        return [field for field in (*self.missing, *self.partial) if is_made_per_run(field)]

    @property
    def lacked(self) -> dict[str, str | None]:
        """Return the fields and members that rows lack, with the columns that state which rows do.

        All rows lack those with None.
        """
        lacking = (*self.missing, *self.partial)
        fields = [field for field in self.layout.fields if field in lacking]
        members = self.source.fitted.lacked if self.source.fitted else {}
        return {**{each.name: self.absent.get(quote(each.column)) for each in fields}, **members}

    @property
    def filled(self) -> tuple[FilledColumns, ...]:
        """Return the file with the fields that take their defaults, if it has any."""
        names = tuple(name for name in self.lacked if name not in self.unfilled)
        return (FilledColumns(self.file.shown, names),) if self.file and names else ()


@dataclass(frozen=True)
class Profile:
    """Counts of the staged rows.

    Attributes:
        rows: The number of rows.
        valid: The number of rows that fit the fields' types.
        distinct: The number of distinct foreign ids of the valid rows; rarely less, if hashes
            collide.
        first_row: The row id of the first row.
    """

    rows: int
    valid: int
    distinct: int
    first_row: int

    @property
    def row_number(self) -> str:
        """Return the SQL of a staged row's number in the source, from 1."""
        return f"rowid - {self.first_row} + 1"


def stage(cursor: Cursor, load: Load) -> Profile:
    """Read the source once, into a temporary table with the values in their fields' types.

    In a shard, the rows of other shards are left out, unless they don't fit and the load has to
    fail: then all shards refuse the same source.
    """
    fitted = load.source.fitted
    marks_of_lacked = [] if fitted is None else fitted.marks_of_lacked
    marks_of_absent = map(quote, load.absent.values())
    values = ", ".join(
        [
            *(f"{column.value} AS {column.into}" for column in load.columns),
            *marks_of_absent,
            *map(quote, marks_of_lacked),
        ]
    )
    into = f"CREATE TEMP TABLE {STAGE} AS"
    marks = [] if fitted is None else [MISFIT, FOUND, RECORD, *marks_of_lacked]
    with load.source.tables(cursor, [*load.source_columns, *marks]) as tables:
        for table in tables:
            query = (
                f"SELECT {values}, {_misfit(load)} AS {_MISFIT}, {_found(load)} AS {_FOUND}, "
                f"{_note(load)} AS {_NOTE}, {_record(load)} AS {STAGED_RECORD} FROM {table}"
            )
            cursor.execute(f"{into} {query}").fetchall()
            into = f"INSERT INTO {STAGE}"
    [(first,)] = cursor.execute(f"SELECT coalesce(min(rowid), 0) FROM {STAGE}").fetchall()
    if load.layout.shard is not None:
        kept = f"NOT {VALID}" if load.options.on_invalid == "error" else "false"
        cursor.execute(
            f"DELETE FROM {STAGE} WHERE NOT ({load.layout.shard.has(STAGED_ID)} OR {kept})"
        ).fetchall()
    [(rows, valid)] = cursor.execute(
        f"SELECT count(*), count(*) FILTER ({VALID}) FROM {STAGE}"
    ).fetchall()
    return Profile(rows, valid, _distinct(cursor), first)


def unfilled(cursor: Cursor, load: Load, new: str, updates: str | None) -> frozenset[str]:
    """Return the fields and members of a file's rows that take no default in a loaded row.

    Args:
        cursor: The transaction's cursor.
        load: The load.
        new: The staged rows that start a run.
        updates: Those that replace the object of a run, if there are any. A field that they lack
            stays as it is, but a member takes its default.
    """
    marks = {name: "true" if mark is None else quote(mark) for name, mark in load.lacked.items()}
    if not marks or load.file is None:
        return frozenset()
    fields = {each.name for each in load.layout.fields}
    values = ", ".join(f"{mark} AS {quote(name)}" for name, mark in marks.items())
    rows = f"SELECT {values} FROM {new}"
    if updates is not None:
        members = ("false" if name in fields else mark for name, mark in marks.items())
        rows = f"{rows} UNION ALL SELECT {', '.join(members)} FROM {updates}"
    lacks = ", ".join(f"coalesce(bool_or({quote(name)}), false)" for name in marks)
    [found] = cursor.execute(f"SELECT {lacks} FROM ({rows})").fetchall()
    return frozenset(name for name, lacked in zip(marks, found, strict=True) if not lacked)


def staged_position(cursor: Cursor, table: str) -> str:
    """Return the SQL of a staged row's position, from 0 and without gaps."""
    # Before its commit, a table's row ids begin somewhere above 2 ** 55.
    [(first, gapless)] = cursor.execute(
        f"SELECT coalesce(min(rowid), 0), coalesce(max(rowid) - min(rowid) + 1, 0) = count(*) "
        f"FROM {table}"
    ).fetchall()
    # A window numbers the rows in any case, but uses one thread and takes twice the time.
    return f"rowid - {first}" if gapless else "row_number() OVER () - 1"


def _distinct(cursor: Cursor) -> int:
    # DuckDB groups hashes of 8 bytes faster than texts, and a subquery is a quarter faster than
    # count(DISTINCT …). After a collision the exact check follows.
    hashes = f"SELECT DISTINCT hash({STAGED_ID}) FROM {STAGE} WHERE {VALID}"
    [(distinct,)] = cursor.execute(f"SELECT count(*) FROM ({hashes})").fetchall()
    return int(distinct)


def _misfit(load: Load) -> str:
    """Return the SQL for the position of a row's first column that doesn't fit, or NULL."""
    cases = [
        f"WHEN {column.misfit} THEN {position}"
        for position, column in enumerate(load.columns)
        if column.misfit is not None
    ]
    if load.source.misfit is not None:
        # Objects have all fields, in the order of the columns after the foreign id.
        before = 1 if load.source.fitted is None else 0
        found = quote(load.source.misfit)
        cases.insert(0, f"WHEN {found} IS NOT NULL THEN {found} + {before}")
    return f"CAST(CASE {' '.join(cases)} END AS SMALLINT)"


def _found(load: Load) -> str:
    """Return the SQL for the text of the value that doesn't fit; NULL if it may not be shown."""
    if load.source.fitted is not None:
        return quote(FOUND)
    cases = [
        f"WHEN {column.misfit} THEN left(CAST({quote(column.column)} AS VARCHAR), "
        f"{SHOWN_CHARACTERS})"
        for column in load.columns
        if column.misfit is not None
    ]
    shown = load.log_values and load.source.misfit is None and cases
    return f"CASE {' '.join(cases)} END" if shown else "CAST(NULL AS VARCHAR)"


def _note(load: Load) -> str:
    """Return the SQL for a phrase for the value that doesn't fit; NULL if there is none."""
    return "CAST(NULL AS VARCHAR)" if load.source.note is None else quote(load.source.note)


def _record(load: Load) -> str:
    """Return the SQL for a row that doesn't fit, as JSON; NULL if it fits."""
    if load.source.fitted is not None:
        return quote(RECORD)
    values = {column.column: quote(column.column) for column in load.columns}
    return f"CASE WHEN {_MISFIT} IS NOT NULL THEN {as_json(values)} END"


def as_json(values: Mapping[str, str]) -> str:
    """Return the SQL for a JSON object with these names and values in SQL."""
    members = ", ".join(f"{quote(name)} := {value}" for name, value in values.items())
    return f"CAST(to_json(struct_pack({members})) AS VARCHAR)"


def check_valid(cursor: Cursor, load: Load, profile: Profile) -> tuple[InvalidColumn, ...]:
    """Return the columns in which staged rows don't fit.

    Raises:
        InvalidRowsError: The option ``on_invalid`` is "error".
    """
    number = profile.row_number
    rows = cursor.execute(
        f"SELECT {_MISFIT}, count(*), "
        f"min({{'row': {number}, 'foreign_id': left({STAGED_ID}, {SHOWN_CHARACTERS}), "
        f"'found': {_FOUND}, 'note': {_NOTE}, 'record': {_record_of_nested(load)}}}, "
        f"{SAMPLE_ROWS}) "
        f"FROM {STAGE} WHERE NOT {VALID} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    invalid = tuple(_invalid_column(load.columns[at], count, sample) for at, count, sample in rows)
    if load.options.on_invalid == "error":
        raise InvalidRowsError(
            f"{load.source.label} has rows that don't fit, so nothing was loaded: "
            f"{'; '.join(map(str, invalid))}. Correct them, or leave them out with "
            'on_invalid="skip".',
            column=invalid[0].column,
            count=invalid[0].count,
            sample=invalid[0].sample,
        )
    file = None if load.file is None else load.file.shown
    return tuple(replace(column, file=file) for column in invalid)


def _invalid_column(
    column: LoadedColumn, count: int, sample: list[dict[str, Any]]
) -> InvalidColumn:
    shown = tuple(_shown(column, **found) for found in sample)
    return InvalidColumn(column.name, column.expected, count, shown)


def _shown(
    column: LoadedColumn, *, row: int, foreign_id: str | None, found: str | None, **what: str | None
) -> str:
    of = "" if foreign_id is None else f": {foreign_id!r}"
    if found is not None:
        return f"row {row}{of} has {found!r}"
    note = what["note"] or _wrong_key(column, what["record"])
    return f"row {row}{of}" + ("" if note is None else f" is {note}")


def _record_of_nested(load: Load) -> str:
    """Return the SQL for the record of a row whose nested value doesn't fit."""
    nested = [str(at) for at, each in enumerate(load.columns) if each.nested is not None]
    return (
        f"CASE WHEN {_MISFIT} IN ({', '.join(nested)}) THEN {STAGED_RECORD} END"
        if nested
        else "NULL"
    )


def _wrong_key(column: LoadedColumn, record: str | None) -> str | None:
    """Return a phrase for the key that is wrong in the nested value of a record in JSON."""
    if column.nested is None or record is None:
        return None
    try:
        value = json.loads(record)[column.column]
        # In CSV and tables, it may be a text.
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    wrong = wrong_key(value, column.nested, any_case=True)
    return None if wrong is None else f"{describe(value)} {wrong}"


def is_repeatable(load: Load) -> bool:
    """Return whether the source's rows can be stored without staging them."""
    exact = not any(column.checked for column in load.columns)
    return exact and load.source.repeatable and not load.made_per_run


def misfit_details(load: Load) -> str:
    """Return the SQL for the text of what doesn't fit in a staged row, without its value."""
    cases = " ".join(
        f"WHEN {at} THEN {literal(f'column {column.name!r} does not fit {column.expected}')}"
        for at, column in enumerate(load.columns)
    )
    return f"CASE {_MISFIT} {cases} END"

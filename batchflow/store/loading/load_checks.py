"""Check a source's rows before any of them is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from batchflow.errors import ConflictError, InvalidRowsError
from batchflow.operation.load_report import InvalidColumn
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.load_plan import STAGED_ID, LoadedColumn
from batchflow.store.loading.sources import LoadSource
from batchflow.store.runs.unfinished import UNFINISHED, has_unfinished
from batchflow.store.schema.layout import Layout, quote

STAGE: Final = "temp.batchflow_stage"
KEPT: Final = "temp.batchflow_kept"
CONFLICTS: Final = "temp.batchflow_conflicts"
SAMPLE_ROWS: Final = 5

_MISFIT: Final = quote("#misfit")
_FOUND: Final = quote("#found")
_SHOWN_CHARACTERS: Final = 100
_VALID: Final = f"{_MISFIT} IS NULL"


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
        log_values: Whether messages may show values that don't fit.
    """

    layout: Layout
    source: LoadSource
    columns: Sequence[LoadedColumn]
    defaults: dict[str, str]
    options: TriggerMany
    code: int
    now: datetime
    log_values: bool = False

    @property
    def source_columns(self) -> list[str]:
        """Return the columns of the source that are read."""
        return [column.column for column in self.columns]


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


def source_conflicts(cursor: Cursor, load: Load) -> bool:
    """Return whether any row of a source that can be read twice has an unfinished run."""
    if not has_unfinished(cursor, load.layout):
        return False
    key = load.columns[0]
    unfinished = f"SELECT foreign_id FROM {load.layout.runs} WHERE {UNFINISHED}"
    with load.source.tables(cursor, [key.column]) as tables:
        return any(
            cursor.execute(
                f"SELECT 1 FROM {table} WHERE {key.value} IN ({unfinished}) LIMIT 1"
            ).fetchall()
            for table in tables
        )


def stage(cursor: Cursor, load: Load) -> Profile:
    """Read the source once, into a temporary table with the values in their fields' types."""
    values = ", ".join(f"{column.value} AS {column.into}" for column in load.columns)
    into = f"CREATE TEMP TABLE {STAGE} AS"
    with load.source.tables(cursor, load.source_columns) as tables:
        for table in tables:
            query = (
                f"SELECT {values}, {_misfit(load)} AS {_MISFIT}, {_found(load)} AS {_FOUND} "
                f"FROM {table}"
            )
            cursor.execute(f"{into} {query}").fetchall()
            into = f"INSERT INTO {STAGE}"
    [(rows, valid, first)] = cursor.execute(
        f"SELECT count(*), count(*) FILTER ({_VALID}), coalesce(min(rowid), 0) FROM {STAGE}"
    ).fetchall()
    return Profile(rows, valid, _distinct(cursor), first)


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
    hashes = f"SELECT DISTINCT hash({STAGED_ID}) FROM {STAGE} WHERE {_VALID}"
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
        found = quote(load.source.misfit)
        cases.insert(0, f"WHEN {found} IS NOT NULL THEN {found} + 1")
    return f"CAST(CASE {' '.join(cases)} END AS SMALLINT)"


def _found(load: Load) -> str:
    """Return the SQL for the text of the value that doesn't fit; NULL if it may not be shown."""
    cases = [
        f"WHEN {column.misfit} THEN left(CAST({quote(column.column)} AS VARCHAR), "
        f"{_SHOWN_CHARACTERS})"
        for column in load.columns
        if column.misfit is not None
    ]
    shown = load.log_values and load.source.misfit is None and cases
    return f"CASE {' '.join(cases)} END" if shown else "CAST(NULL AS VARCHAR)"


def check_valid(cursor: Cursor, load: Load, profile: Profile) -> tuple[InvalidColumn, ...]:
    """Return the columns in which staged rows don't fit.

    Raises:
        InvalidRowsError: The option ``on_invalid`` is "error".
    """
    number = f"rowid - {profile.first_row} + 1"
    rows = cursor.execute(
        f"SELECT {_MISFIT}, count(*), "
        f"min({{'row': {number}, 'foreign_id': {STAGED_ID}, 'found': {_FOUND}}}, {SAMPLE_ROWS}) "
        f"FROM {STAGE} WHERE NOT {_VALID} GROUP BY ALL ORDER BY ALL"
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
    return invalid


def _invalid_column(
    column: LoadedColumn, count: int, sample: list[dict[str, object]]
) -> InvalidColumn:
    shown = tuple(_shown(**found) for found in sample)
    return InvalidColumn(column.column, column.expected, count, shown)


def _shown(row: object, foreign_id: object, found: object) -> str:
    of = "" if foreign_id is None else f": {foreign_id!r}"
    return f"row {row}{of}" + ("" if found is None else f" has {found!r}")


def find_conflicts(cursor: Cursor, load: Load, profile: Profile) -> int:
    """List the valid rows with an unfinished run, or with the foreign id of an earlier row.

    They are in a temporary table. The result is their number.
    """
    parts = [f'SELECT rowid AS "row" FROM {STAGE} WHERE false']
    if has_unfinished(cursor, load.layout):
        unfinished = f"SELECT foreign_id FROM {load.layout.runs} WHERE {UNFINISHED}"
        parts.append(f"SELECT rowid FROM {STAGE} WHERE {_VALID} AND {STAGED_ID} IN ({unfinished})")
    if profile.distinct < profile.valid:
        parts.append(_REPEATED)
    cursor.execute(f"CREATE TEMP TABLE {CONFLICTS} AS {' UNION '.join(parts)}")
    [(count,)] = cursor.execute(f"SELECT count(*) FROM {CONFLICTS}").fetchall()
    return int(count)


_REPEATED: Final = (
    f"SELECT s.rowid FROM {STAGE} s JOIN ("
    f"SELECT {STAGED_ID}, min(rowid) AS first FROM {STAGE} WHERE {_VALID} "
    f"GROUP BY {STAGED_ID} HAVING count(*) > 1"
    f") repeated USING ({STAGED_ID}) WHERE {_VALID} AND s.rowid > repeated.first"
)


def conflict_sample(cursor: Cursor, load: Load, count: int) -> tuple[str, ...]:
    """Return a few of the conflicting foreign ids.

    Raises:
        ConflictError: The option ``on_conflict`` is "error".
    """
    found = cursor.execute(
        f"SELECT {STAGED_ID} FROM {STAGE} s JOIN {CONFLICTS} c ON s.rowid = c.row "
        f"ORDER BY c.row LIMIT {SAMPLE_ROWS}"
    ).fetchall()
    sample = tuple(str(foreign_id) for (foreign_id,) in found)
    if load.options.on_conflict == "error":
        more = ", …" if count > len(sample) else ""
        rows, have = ("row", "has") if count == 1 else ("rows", "have")
        raise ConflictError(
            f"{count:,} {rows} of {load.source.label[:1].lower()}{load.source.label[1:]} {have} a "
            "foreign id that has an unfinished run, or occurs twice, so nothing was loaded "
            f"({', '.join(map(repr, sample))}{more}). Leave such rows out with "
            'on_conflict="skip", or let their runs finish.',
            count=count,
            foreign_ids=sample,
        )
    return sample


def keep(cursor: Cursor) -> str:
    """Copy the staged rows that are valid and don't conflict to a table, and return its name."""
    cursor.execute(
        f"CREATE TEMP TABLE {KEPT} AS SELECT s.* FROM {STAGE} s "
        f"ANTI JOIN {CONFLICTS} c ON s.rowid = c.row WHERE {_VALID}"
    )
    return KEPT


def drop_stages(cursor: Cursor) -> None:
    """Drop the temporary tables."""
    for table in (STAGE, CONFLICTS, KEPT):
        cursor.execute(f"DROP TABLE IF EXISTS {table}")


def is_repeatable(load: Load) -> bool:
    """Return whether the source's rows can be stored without staging them."""
    exact = not any(column.checked for column in load.columns)
    return exact and load.source.repeatable

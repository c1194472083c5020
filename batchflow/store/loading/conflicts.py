"""Find the rows of a source that can't start a run, because of their foreign ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from batchflow.errors import ConflictError
from batchflow.operation.load_report import DUPLICATE, FINISHED, RUNNING, UNFINISHED_RUN
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.field_defaults import RUN_DEFAULTS
from batchflow.store.loading.load_checks import SAMPLE_ROWS, STAGE, VALID, Load, Profile
from batchflow.store.loading.load_plan import STAGED_ID
from batchflow.store.loading.updates import (
    CLAIMED,
    UPDATABLE,
    UPDATES,
    find_updates,
    stage_claimed,
)
from batchflow.store.runs.loaded_ids import has_loaded, is_loaded
from batchflow.store.runs.unfinished import UNFINISHED, has_unfinished
from batchflow.store.schema.layout import literal

CONFLICTS: Final = "temp.batchflow_conflicts"
KEPT: Final = "temp.batchflow_kept"

# Of several reasons for a row, the last in alphabetical order counts.
LOADED: Final = "loaded"

_REPEATED: Final = (
    f'SELECT s.rowid AS "row", {literal(DUPLICATE)} AS reason FROM {STAGE} s JOIN ('
    f"SELECT {STAGED_ID}, min(rowid) AS first FROM {STAGE} WHERE {VALID} "
    f"GROUP BY {STAGED_ID} HAVING count(*) > 1"
    f") repeated USING ({STAGED_ID}) WHERE {VALID} AND s.rowid > repeated.first"
)


@dataclass(frozen=True)
class Conflicts:
    """The numbers of rows that start no run.

    Attributes:
        reasons: Those that conflict with a run or with an earlier row, by reason.
        loaded: Those whose foreign id was loaded before, if ``once`` is set.
        updated: Those that replace the object of a run, if ``on_conflict`` is "update".
        sample: A few foreign ids of the rejected ones.
    """

    reasons: Mapping[str, int] = field(default_factory=dict)
    loaded: int = 0
    updated: int = 0
    sample: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """Return the number of rows that conflict with a run or with an earlier row."""
        return sum(self.reasons.values())

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.rejected or self.loaded or self.updated)


def source_conflicts(cursor: Cursor, load: Load) -> bool:
    """Return whether any row of a source that can be read twice conflicts with a run."""
    condition = any_reason(cursor, load, load.columns[0].value)
    if condition is None:
        return False
    with load.source.tables(cursor, [load.columns[0].column]) as tables:
        return any(
            cursor.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchall()
            for table in tables
        )


def find_conflicts(cursor: Cursor, load: Load, profile: Profile) -> Conflicts:
    """List the valid rows that conflict in a temporary table, each with its reason.

    Raises:
        ConflictError: There are some, and ``on_conflict`` is "error".
    """
    may_update = load.options.on_conflict == "update"
    if may_update:
        stage_claimed(cursor, load)
    parts = [
        f'SELECT rowid AS "row", {literal(reason)} AS reason FROM {STAGE} '
        f"WHERE {VALID} AND {condition}"
        for reason, condition in _reasons(cursor, load, STAGED_ID)
    ]
    if profile.distinct < profile.valid:
        parts.append(_REPEATED)
    if not parts:
        parts.append(f"SELECT rowid AS \"row\", '' AS reason FROM {STAGE} WHERE false")
    cursor.execute(
        f'CREATE TEMP TABLE {CONFLICTS} AS SELECT "row", max(reason) AS reason '
        f'FROM ({" UNION ALL ".join(parts)}) GROUP BY "row"'
    )
    reasons = dict(
        cursor.execute(
            f"SELECT reason, count(*) FROM {CONFLICTS} GROUP BY reason ORDER BY reason"
        ).fetchall()
    )
    loaded = reasons.pop(LOADED, 0)
    sample = _sample(cursor, load, sum(reasons.values())) if reasons else ()
    updated = find_updates(cursor, load, CONFLICTS) if may_update else 0
    return Conflicts(reasons, loaded, updated, sample)


def any_reason(cursor: Cursor, load: Load, key: str) -> str | None:
    """Return the condition in SQL that a foreign id can't simply start a run; None if each can."""
    if load.options.once or load.options.on_conflict == "update":
        return is_loaded(load.layout, key) if has_loaded(cursor, load.layout) else None
    return _in_unfinished(load, key) if has_unfinished(cursor, load.layout) else None


def _reasons(cursor: Cursor, load: Load, key: str) -> Iterator[tuple[str, str]]:
    """Yield why a foreign id starts no run, and updates none, each with its condition in SQL."""
    condition = any_reason(cursor, load, key)
    if condition is None:
        return
    if load.options.once:
        yield LOADED, condition
    elif load.options.on_conflict == "update":
        unfinished = _in_unfinished(load, key)
        yield RUNNING, f"{unfinished} AND NOT {_in_runs(load, key, UPDATABLE)}"
        yield FINISHED, f"{condition} AND NOT {unfinished}"
    else:
        yield UNFINISHED_RUN, condition


def _in_unfinished(load: Load, key: str) -> str:
    return _in_runs(load, key, UNFINISHED)


def _in_runs(load: Load, key: str, where: str) -> str:
    return f"{key} IN (SELECT foreign_id FROM {load.layout.runs} WHERE {where})"


def _sample(cursor: Cursor, load: Load, count: int) -> tuple[str, ...]:
    """Return a few of the conflicting foreign ids, or raise ConflictError."""
    found = cursor.execute(
        f"SELECT {STAGED_ID} FROM {STAGE} s JOIN {CONFLICTS} c ON s.rowid = c.row "
        f"WHERE c.reason <> {literal(LOADED)} ORDER BY c.row LIMIT {SAMPLE_ROWS}"
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


def kept_rows(cursor: Cursor, found: Conflicts) -> str:
    """Copy the staged rows that start a run to a table, and return its name."""
    updates = f"ANTI JOIN {UPDATES} u ON s.rowid = u.row " if found.updated else ""
    cursor.execute(
        f"CREATE TEMP TABLE {KEPT} AS SELECT s.* FROM {STAGE} s "
        f"ANTI JOIN {CONFLICTS} c ON s.rowid = c.row {updates}WHERE {VALID}"
    )
    return KEPT


def drop_stages(cursor: Cursor) -> None:
    """Drop the temporary tables."""
    for table in (STAGE, CONFLICTS, CLAIMED, UPDATES, KEPT, RUN_DEFAULTS):
        cursor.execute(f"DROP TABLE IF EXISTS {table}")

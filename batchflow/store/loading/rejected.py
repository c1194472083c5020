"""Keep the rows of a load that were left out, so that they can be queried and exported."""

from __future__ import annotations

from typing import Final

from batchflow.operation.load_report import CONFLICT_DETAILS
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import FOREIGN_ID_COLUMN
from batchflow.store.loading.conflicts import CONFLICTS, LOADED
from batchflow.store.loading.fitted_table import KEY
from batchflow.store.loading.load_checks import (
    STAGE,
    STAGED_RECORD,
    VALID,
    Load,
    Profile,
    as_json,
    misfit_details,
)
from batchflow.store.loading.load_plan import STAGED_ID
from batchflow.store.schema.layout import literal

MOST_REJECTED: Final = 10_000
"""The most rows that are kept of one load, or of one file of it."""

MOST_RECORD_BYTES: Final = 65_536
"""The longest record that is kept; of a row with a longer one, the rest is."""

INVALID: Final = "invalid"


def keep_rejected(cursor: Cursor, load: Load, profile: Profile) -> None:
    """Store the first rows that are left out, in the transaction of the load."""
    record = f"coalesce(s.{STAGED_RECORD}, {as_json(_staged_values(load))})"
    details = " ".join(f"WHEN {literal(r)} THEN {literal(d)}" for r, d in CONFLICT_DETAILS.items())
    first = (
        f'SELECT "row", reason FROM {CONFLICTS} WHERE reason <> {literal(LOADED)} '
        f"UNION ALL SELECT rowid, {literal(INVALID)} FROM {STAGE} WHERE NOT {VALID} "
        f'ORDER BY "row" LIMIT {MOST_REJECTED}'
    )
    cursor.execute(
        "INSERT INTO batchflow.rejected "
        "SELECT $load_id, $now, $workflow, $source, number, id, reason, detail, "
        f"CASE WHEN strlen(record) <= {MOST_RECORD_BYTES} THEN record END FROM ("
        f"SELECT s.{profile.row_number} AS number, {STAGED_ID} AS id, reason, "
        f"CASE reason {details} ELSE {misfit_details(load)} END AS detail, {record} AS record "
        f'FROM ({first}) c JOIN {STAGE} s ON s.rowid = c."row" ORDER BY number)',
        {
            "load_id": load.load_id,
            "now": load.now,
            "workflow": load.layout.name,
            "source": load.source_name,
        },
    ).fetchall()


def _staged_values(load: Load) -> dict[str, str]:
    values = {column.column: column.into for column in load.columns}
    key = values.pop(KEY, None)
    if key is not None:
        name = load.options.foreign_id or FOREIGN_ID_COLUMN
        if name.casefold() not in map(str.casefold, values):
            values[name] = key
    return values

"""The causes of errors, each of which is stored once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from batchflow.definition.cause import Cause
from batchflow.store.database.staging import STAGE, Stage

_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("cause", "description", "type", "message")),
        *((name, pa.string()) for name in ("function", "file")),
        ("line", pa.int32()),
        ("source", pa.string()),
        ("chain", pa.list_(pa.string())),
    ]
)
_INSERT: Final = (
    f"INSERT INTO batchflow.causes SELECT *, $now FROM {STAGE} AS s "
    "WHERE NOT EXISTS (FROM batchflow.causes AS c WHERE c.cause = s.cause)"
)


def causes_table(causes: Sequence[Cause]) -> pa.Table:
    """Return causes with the columns of ``batchflow.causes``, but without the last one."""
    return pa.Table.from_pylist([_row(cause) for cause in causes], _SCHEMA)


def insert_causes(stage: Stage, causes: Sequence[Cause], now: datetime) -> None:
    """Store the causes that the store doesn't have yet."""
    if causes:
        with stage.holding(causes_table(causes)) as cursor:
            cursor.execute(_INSERT, {"now": now}).fetchall()


def _row(cause: Cause) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cause": cause.id,
        "description": cause.description,
        "type": cause.type,
        "message": cause.message,
        "chain": cause.chain,
    }
    if cause.place is not None:
        row |= {name: getattr(cause.place, name) for name in ("function", "file", "line", "source")}
    return row

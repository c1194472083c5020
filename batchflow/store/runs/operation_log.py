"""The log of operations that changed runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from batchflow.operation import ControlReport
from batchflow.store.database.instance import Cursor


def log_operation(
    cursor: Cursor,
    workflow: str,
    operation: str,
    report: ControlReport,
    reason: str,
    options: Mapping[str, Any],
    now: datetime,
) -> None:
    """Record an operation in the transaction that it is carried out in."""
    cursor.execute(
        "INSERT INTO batchflow.operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(now, workflow, operation, report.action, reason),
            *(report.changed, report.refused, json.dumps(options)),
        ],
    ).fetchall()

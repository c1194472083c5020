"""Repairing a store's file that can't be opened after a power cut."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from batchflow.store.database.torn_log import RepairReport, repair_log


def repair(path: str | os.PathLike[str]) -> RepairReport:
    """Repair a store whose log was torn by a power cut, so that it can be opened again.

    The log is cut off where DuckDB reports that it is damaged: the commits before are kept, those
    after it are lost. The whole log is kept beside it. A log that isn't damaged isn't changed.

    Args:
        path: The store's file; no process may have it open.

    Raises:
        StoreHeldError: A process has it open.
        StoreFormatError: There is no such file.
        StoreError: It can't be opened for another reason.
    """
    return repair_log(Path(os.path.realpath(path)), datetime.now(UTC))

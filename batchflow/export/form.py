"""The forms of exported files."""

from __future__ import annotations

import enum


class ExportForm(enum.Enum):
    """The form of a file; the value is the ending of the names in a folder."""

    PARQUET = ".parquet"
    CSV = ".csv"
    JSON = ".jsonl"

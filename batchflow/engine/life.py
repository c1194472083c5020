"""The life of a run as a notebook shows it: a timeline, and its last errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from batchflow.errors import BatchflowError
from batchflow.picture import Gap, Happening, escaped, html_table, timeline

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.store import Relation

History: TypeAlias = "Callable[[], Relation]"
"""Asks for the history of one run."""

_SHOWN_AT_EITHER_END: Final = 15
_SHOWN_ERRORS: Final = 10
_HEADING: Final = ("when", "step", "attempt", "error", "message")


def life_shown(created_at: datetime, history: History) -> str:
    """Return the life of a run as HTML; or why it can't be told."""
    try:
        rows = history().to_arrow_table()
    except BatchflowError as error:
        return f"<p>What happened to it can't be told: {escaped(str(error))}</p>"
    # A failure has no version where the other transitions aren't recorded.
    unrecorded = rows["version"].null_count
    alone = "<p>Its transitions aren't recorded, these are its failures.</p>" if unrecorded else ""
    return f"{alone}{timeline(_life(created_at, rows))}{_errors(rows)}"


def _life(created_at: datetime, rows: pa.Table) -> list[Happening | Gap]:
    first = Happening(created_at.astimezone(), "triggered", "")
    left_out = rows.num_rows - 2 * _SHOWN_AT_EITHER_END
    if left_out <= 1:
        return [first, *_happenings(rows)]
    head, tail = (
        rows.slice(0, _SHOWN_AT_EITHER_END),
        rows.slice(rows.num_rows - _SHOWN_AT_EITHER_END),
    )
    return [first, *_happenings(head), Gap(left_out), *_happenings(tail)]


def _happenings(rows: pa.Table) -> Sequence[Happening]:
    return [_happening(row) for row in rows.to_pylist()]


def _happening(row: Mapping[str, Any]) -> Happening:
    text = row["from_status"]
    if row["to_status"] != row["from_status"] or row["outcome"] == "advanced":
        text = f"{row['from_status']} → {row['to_status']}"
    return Happening(row["committed_at"].astimezone(), row["outcome"], text, _detail(row))


def _detail(row: Mapping[str, Any]) -> str:
    if row["error_type"] is None:
        return ""
    paused = ", and paused" if row["run_state"] == "PAUSED" else ""
    return f"{row['error_type']}{paused}"


def _errors(rows: pa.Table) -> str:
    import pyarrow.compute as pc

    failed = rows.filter(pc.is_valid(rows["error_type"]))
    last = failed.slice(max(0, failed.num_rows - _SHOWN_ERRORS)).to_pylist()
    if not last:
        return ""
    told = [
        (
            f"{row['committed_at'].astimezone():%d %b %H:%M:%S}",
            row["failed_step"],
            str(row["attempt"]),
            row["error_type"],
            row["error_message"],
        )
        for row in last
    ]
    more = failed.num_rows - len(last)
    before = f"<p>{more:,} errors before these.</p>" if more else ""
    return before + html_table(_HEADING, told, numbers={2})

"""A run's history as a notebook shows it: a timeline, and its last errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from batchflow.errors import BatchflowError
from batchflow.picture import Event, Gap, escaped, html_table, moment_of, timeline
from batchflow.short_form import short_seconds

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.store.query.relation import Relation

_SHOWN_AT_EITHER_END: Final = 15
_SHOWN_ERRORS: Final = 10
_HEADING: Final = ("when", "step", "attempt", "error", "message")


@dataclass(frozen=True)
class History:
    """The history of one run, which is read when it is shown.

    Attributes:
        read: Returns its transitions.
    """

    read: Callable[[], Relation]


def life_shown(created_at: datetime, version: int, history: History) -> str:
    """Return the history of a run until a version as HTML; or why it can't be read."""
    try:
        rows = history.read().to_arrow_table()
    except BatchflowError as error:
        return f"<p>Its history can't be read: {escaped(str(error))}</p>"
    return f"{_missing(version, rows)}{timeline(_life(created_at, rows))}{_errors(rows)}"


def _missing(version: int, rows: pa.Table) -> str:
    """Return a note on what is missing: each transition is a version, but for the first one."""
    if rows.num_rows - rows["version"].null_count == version - 1:
        return ""
    if rows["version"].null_count == rows.num_rows:
        return "<p>Its transitions aren't recorded; below are only its failures.</p>"
    return "<p>Not all of its transitions are recorded.</p>"


def _life(created_at: datetime, rows: pa.Table) -> list[Event | Gap]:
    first = Event(created_at.astimezone(UTC), "triggered", "")
    left_out = rows.num_rows - 2 * _SHOWN_AT_EITHER_END
    if left_out <= 1:
        return [first, *_events(rows)]
    end = _SHOWN_AT_EITHER_END + left_out
    gap = _gap(rows.slice(_SHOWN_AT_EITHER_END - 1, left_out + 2))
    head, tail = rows.slice(0, _SHOWN_AT_EITHER_END), rows.slice(end)
    return [first, *_events(head), gap, *_events(tail)]


def _gap(rows: pa.Table) -> Gap:
    """Return what is left out between the first of these rows and the last."""
    left_out, moments = rows.slice(1, rows.num_rows - 2), rows["committed_at"]
    counted = left_out["outcome"].cast("string").value_counts().to_pylist()
    counted.sort(key=lambda each: -each["counts"])
    outcomes = ", ".join(f"{each['counts']:,} {each['values']}" for each in counted)
    passed = (moments[-1].as_py() - moments[0].as_py()).total_seconds()
    within = f" within {short_seconds(passed)}" if passed > 0 else ""
    return Gap(f"… {left_out.num_rows:,} more{within}: {outcomes} …")


def _events(rows: pa.Table) -> Sequence[Event]:
    return [_event(row) for row in rows.to_pylist()]


def _event(row: Mapping[str, Any]) -> Event:
    text = row["from_status"]
    if row["to_status"] != row["from_status"] or row["outcome"] == "advanced":
        text = f"{row['from_status']} → {row['to_status']}"
    return Event(row["committed_at"].astimezone(UTC), row["outcome"], text, _detail(row))


def _detail(row: Mapping[str, Any]) -> str:
    if row["error_type"] is None:
        return ""
    # What matters most comes first, as long names are cut off.
    paused = " and paused" if row["run_state"] == "PAUSED" else ""
    return f"{row['outcome']}{paused}: {row['error_type']}"


def _errors(rows: pa.Table) -> str:
    import pyarrow.compute as pc

    failed = rows.filter(pc.is_valid(rows["error_type"]))
    last = failed.slice(max(0, failed.num_rows - _SHOWN_ERRORS)).to_pylist()
    if not last:
        return ""
    cells = [
        (
            moment_of(row["committed_at"].astimezone(UTC)),
            row["failed_step"],
            str(row["attempt"]),
            row["error_type"],
            row["error_message"],
        )
        for row in last
    ]
    more = failed.num_rows - len(last)
    before = f"<p>{more:,} errors before these.</p>" if more else ""
    return before + html_table(_HEADING, cells, numbers={2})

"""Points at which a test can end the coordinator's process; see ``batchflow.testing.arm_crash``.

They are where a crash would do the most damage if something were wrong. The engine reaches them
once per batch, transaction or call, never once per run. Only tests arm a point; reaching one that
isn't armed does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

CrashPoint: TypeAlias = Literal[
    "before_claim",  # Runs are about to be claimed.
    "chunks_in_flight",  # A chunk was submitted to the executor.
    "before_commit",  # Results have arrived, and none of them is written.
    "within_commit",  # Runs were updated, and nothing is committed.
    "at_commit",  # DuckDB's COMMIT is next.
    "after_commit",  # Results are stored, and the coordinator hasn't noted that.
    "within_load",  # Runs were inserted, and nothing is committed.
    "after_load",  # Runs are stored, and the coordinator hasn't noted them.
    "within_control",  # Runs are being changed by an operation, and nothing is committed.
    "within_prune",  # Transitions and errors of finished runs were removed; nothing is committed.
    "within_export",  # The runs of an export were chosen, and nothing is committed.
    "export_begun",  # The choice is stored, and no file is written.
    "before_success",  # All files are written but the one that says so.
    "export_written",  # All files are written, and the store doesn't have that yet.
    "at_checkpoint",  # The log is about to be merged into the file.
    "within_placing",  # The files of a set of shards are complete and not all in their places.
    "at_close",  # The file is about to be closed.
]

CRASH_POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)

_when_reached: Callable[[CrashPoint], None] | None = None


def reached(point: CrashPoint) -> None:
    """Report that this process has reached a point; callable from any thread."""
    if _when_reached is not None:
        _when_reached(point)


def arm(when_reached: Callable[[CrashPoint], None] | None) -> None:
    """Set the function that is called at each point that is reached; None calls none."""
    global _when_reached  # noqa: PLW0603 - it belongs to the process, as a crash does
    _when_reached = when_reached

"""Moments at which a test may end the coordinator's process; see ``batchflow.testing.arm_crash``.

They stand where a crash would hurt most if something were wrong, and are passed once a batch, a
transaction or a call of the engine, never once a run. Where none is armed, as always but in tests,
passing one is a call that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

CrashPoint: TypeAlias = Literal[
    "before_claim",  # Runs are about to be taken.
    "chunks_in_flight",  # A chunk was given to a worker.
    "before_commit",  # Results are there, and nothing of them is written.
    "within_commit",  # Runs were updated, and nothing of it is committed.
    "at_commit",  # DuckDB's COMMIT is next.
    "after_commit",  # Results are stored, and the coordinator hasn't heard of it.
    "within_load",  # Runs were inserted, and nothing of it is committed.
    "after_load",  # Runs are stored, and the coordinator hasn't heard of them.
    "within_move",  # Runs are being paused, resumed or cancelled, and nothing is committed.
    "within_prune",  # Transitions and errors of finished runs were removed; nothing is committed.
    "at_checkpoint",  # The log is about to be folded into the file.
    "at_close",  # The file is about to be closed.
]

CRASH_POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)

_when_reached: Callable[[CrashPoint], None] | None = None


def reached(point: CrashPoint) -> None:
    """Say that this process has come to a point; from any thread."""
    if _when_reached is not None:
        _when_reached(point)


def arm(when_reached: Callable[[CrashPoint], None] | None) -> None:
    """Have a function called at each point that is reached, instead of any before; None: none."""
    global _when_reached  # noqa: PLW0603 - this process's, as a crash is
    _when_reached = when_reached

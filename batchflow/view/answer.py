"""The answers that a row step may return besides a status."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.definition.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for a run that doesn't move; `Run` creates it, and the step returns it.

    Attributes:
        outcome: What becomes of the run.
        reason: Why it is paused or cancelled.
    """

    outcome: Outcome
    reason: str | None = None

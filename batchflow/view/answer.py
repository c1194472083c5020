"""The answers that a row step may return besides a status."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.definition.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to happen to a run that doesn't move; made by `Run`, returned by the step."""

    outcome: Outcome
    reason: str | None = None

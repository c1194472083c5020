"""What a step may answer with besides a status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchflow.definition.outcome import Outcome
from batchflow.definition.reason import checked_reason


@dataclass(frozen=True, slots=True)
class Answer:
    """Say what becomes of a run that doesn't move; made by `Run`, returned by the step."""

    outcome: Outcome
    reason: str | None = None


SKIP: Final = Answer(Outcome.SKIPPED)
REPEAT: Final = Answer(Outcome.REPEATED)


def pause(reason: str) -> Answer:
    """Return the answer that pauses a run.

    Raises:
        TypeError: the reason is no text.
    """
    return Answer(Outcome.PAUSED, checked_reason(reason))


def cancel(reason: str) -> Answer:
    """Return the answer that cancels a run.

    Raises:
        TypeError: the reason is no text.
    """
    return Answer(Outcome.CANCELLED, checked_reason(reason))

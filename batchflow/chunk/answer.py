"""What a step may answer with besides a status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchflow.definition.outcome import Outcome


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


def checked_reason(reason: object) -> str:
    """Return the reason as text that can be stored.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(reason, str):
        raise TypeError(f"the reason is of type {type(reason).__name__}; give a text")
    # The class's own, as a subclass may have others.
    return str.encode(reason, "utf-8", "replace").decode("utf-8")

"""Store in smaller and smaller pieces what the store refuses as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from batchflow.errors import CommitError

Piece = TypeVar("Piece")
Stored = TypeVar("Stored")

# Finding one run among a million takes about forty; if all are refused, this ends it soon.
_MOST_REFUSALS = 64


@dataclass
class Piecewise(Generic[Piece, Stored]):
    """The pieces, by whether they were stored.

    Attributes:
        stored: Each piece that was stored, with its result.
        refused: The pieces that were refused and not divided further.
        error: The last refusal.
    """

    stored: list[tuple[Piece, Stored]] = field(default_factory=list)
    refused: list[Piece] = field(default_factory=list)
    error: CommitError | None = None


def store_piecewise(
    whole: Piece,
    store: Callable[[Piece], Stored],
    halves: Callable[[Piece], Sequence[Piece]],
    done: Piecewise[Piece, Stored] | None = None,
) -> Piecewise[Piece, Stored]:
    """Store the whole or, if it is refused, its halves, and so on.

    ``halves`` returns nothing for a piece that can't be smaller. A full disk isn't a refusal but
    raised, because smaller pieces would fail as well. Pass `done` to know what was stored before
    such an error.
    """
    done = Piecewise[Piece, Stored]() if done is None else done
    waiting, refusals = [whole], 0
    while waiting:
        piece = waiting.pop()
        try:
            done.stored.append((piece, store(piece)))
        except CommitError as error:
            done.error = error
            refusals += 1
            smaller = halves(piece) if refusals < _MOST_REFUSALS else ()
            waiting += reversed(smaller)
            done.refused += () if smaller else (piece,)
    return done

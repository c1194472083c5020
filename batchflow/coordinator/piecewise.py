"""Storing in ever smaller pieces what the store refuses as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from batchflow.errors import CommitError

Piece = TypeVar("Piece")
Summary = TypeVar("Summary")

# A single run among a million is found in some forty; where all are refused it ends soon.
_MOST_REFUSALS = 64


@dataclass
class Piecewise(Generic[Piece, Summary]):
    """What became of the pieces.

    Attributes:
        stored: each piece that was stored, with what the store said of it.
        refused: those that weren't, as small as they were tried.
        error: the last refusal.
    """

    stored: list[tuple[Piece, Summary]] = field(default_factory=list)
    refused: list[Piece] = field(default_factory=list)
    error: CommitError | None = None


def store_piecewise(
    whole: Piece,
    store: Callable[[Piece], Summary],
    halves: Callable[[Piece], Sequence[Piece]],
) -> Piecewise[Piece, Summary]:
    """Store the whole; where it is refused, its halves, and so on.

    ``halves`` answers nothing for a piece that can't be any smaller. A full disk isn't a refusal:
    smaller pieces would fare no better, so that is raised.
    """
    done = Piecewise[Piece, Summary]()
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

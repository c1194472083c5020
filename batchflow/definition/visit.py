"""Which steps may follow each other within one visit, whose results are committed together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition.step import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray


def commits_before(step: Step) -> bool:
    """Return whether the step only receives runs whose earlier steps are committed.

    A step that waits would delay the results of the steps before it. A step with `parallel` is
    counted by its chunks.
    """
    options = step.options
    return options.commit == "before" or options.parallel is not None or _waits(step)


def commits_after(step: Step) -> bool:
    """Return whether the step's effect is committed before the next step of a run.

    A step that waits does what takes long to repeat.
    """
    options = step.options
    return options.commit == "after" or options.side_effects or _waits(step)


def may_follow(step: Step, following: Step) -> bool:
    """Return whether a run that `step` moved may receive `following` before a commit.

    Whether the run moved forward is for the caller to check.
    """
    if commits_after(step) or commits_before(following):
        return False
    return step.kind.in_store == following.kind.in_store


@dataclass(frozen=True, slots=True, eq=False)
class VisitMoves:
    """The moves after which a visit may continue: bool of shape (statuses, statuses), [from, to].

    Attributes:
        forward: The moves forward.
        back: The moves backward, and those that stay.
        last: The codes of the statuses whose step ends the visit of the whole chunk, as its effect
            is committed next. A further step for other runs could lose it.
    """

    forward: NDArray[np.bool_]
    back: NDArray[np.bool_]
    last: frozenset[int]

    @classmethod
    def of(cls, steps: Mapping[int, Step], rank: NDArray[np.int64]) -> VisitMoves:
        """Return the moves of these steps, by code, whose statuses have these ranks."""
        follows = np.zeros((len(rank), len(rank)), np.bool_)
        for code, step in steps.items():
            for to in {code, *step.to_codes} & steps.keys():
                follows[code, to] = may_follow(step, steps[to])
        forward = rank[None, :] > rank[:, None]
        last = frozenset(code for code, step in steps.items() if commits_after(step))
        return cls(follows & forward, follows & ~forward, last)

    def onward(self, code: int) -> frozenset[int]:
        """Return the codes of the further steps to which moves forward lead from a status."""
        return _reached(code, self.forward) - {code}

    def within_reach(self, code: int) -> frozenset[int]:
        """Return the codes of the steps that a visit which begins at a status may execute."""
        return _reached(code, self.forward | self.back)


def _reached(code: int, moves: NDArray[np.bool_]) -> frozenset[int]:
    reached, waiting = {code}, [code]
    while waiting:
        following = np.flatnonzero(moves[waiting.pop()]).tolist()
        waiting += [to for to in following if to not in reached]
        reached.update(following)
    return frozenset(reached)


def _waits(step: Step) -> bool:
    return step.is_async or step.options.threads > 1

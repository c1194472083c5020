"""The graph that the steps of a workflow span between its statuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class StatusGraph:
    """Answer what can be known from a workflow's statuses and steps alone.

    Attributes:
        size: how many statuses there are; their codes are 0 to ``size - 1``.
        edges: for the code of each status that has a step, the codes which that step may answer
            with, in the order of declaration.
    """

    size: int
    edges: Mapping[int, tuple[int, ...]]

    @cached_property
    def starting(self) -> frozenset[int]:
        """Return the statuses which have a step, and which no other status leads to."""
        # A status that leads to itself alone is still where runs begin.
        led_to = {to for code, targets in self.edges.items() for to in targets if to != code}
        return frozenset(self.edges) - led_to

    @cached_property
    def terminal(self) -> frozenset[int]:
        """Return the statuses that have no step."""
        return frozenset(range(self.size)) - frozenset(self.edges)

    @cached_property
    def unreachable(self) -> frozenset[int]:
        """Return the statuses that have a step, but which no starting point leads to."""
        return frozenset(self.edges) - self.reachable_from(self.starting)

    def reachable_from(self, codes: frozenset[int]) -> frozenset[int]:
        """Return the statuses that runs at `codes` are at or may get to."""
        reached: set[int] = set()
        pending = list(codes)
        while pending:
            code = pending.pop()
            if code not in reached:
                reached.add(code)
                pending.extend(self.edges.get(code, ()))
        return frozenset(reached)

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """Return for each status how late it comes, shape (size,).

        It is the length of the longest way to it, edges that lead back left out; so an edge leads
        forward exactly if the rank of its end is above that of its beginning.
        """
        rank = np.zeros(self.size, dtype=np.int64)
        order = self._ordered()
        position = {code: index for index, code in enumerate(order)}
        for code in order:
            for to in self.edges.get(code, ()):
                if position[to] > position[code]:
                    rank[to] = max(rank[to], rank[code] + 1)
        rank.setflags(write=False)
        return rank

    @cached_property
    def steps_ahead(self) -> NDArray[np.int64]:
        """Return how many steps a run at each status has ahead of it at most, shape (size,).

        Edges that lead back are left out, as nobody knows how often they are taken.
        """
        ahead = np.zeros(self.size, dtype=np.int64)
        for code in sorted(self.edges, key=self.rank.__getitem__, reverse=True):
            onward = (to for to in self.edges[code] if self.rank[to] > self.rank[code])
            ahead[code] = 1 + max((ahead[to] for to in onward), default=0)
        ahead.setflags(write=False)
        return ahead

    @cached_property
    def leads_to(self) -> NDArray[np.bool_]:
        """Return whether a way forward leads from one status to another, shape (size, size).

        It is indexed by [from, to]; each status leads to itself.
        """
        leads = np.eye(self.size, dtype=np.bool_)
        for code in sorted(self.edges, key=self.rank.__getitem__, reverse=True):
            onward = [to for to in self.edges[code] if self.rank[to] > self.rank[code]]
            leads[code] |= leads[onward].any(axis=0)
        leads.setflags(write=False)
        return leads

    def _ordered(self) -> list[int]:
        """Return all statuses so that only edges of a cycle lead to an earlier one."""
        finished: dict[int, None] = {}
        entered: set[int] = set()
        for code in [*sorted(self.starting), *range(self.size)]:
            self._visit(code, entered, finished)
        return list(reversed(finished))

    def _visit(self, root: int, entered: set[int], finished: dict[int, None]) -> None:
        # A stack of its own rather than recursion: a chain of statuses may be long.
        stack = [(root, False)]
        while stack:
            code, done = stack.pop()
            if done:
                finished[code] = None
            elif code not in entered:
                entered.add(code)
                stack.append((code, True))
                stack.extend((to, False) for to in reversed(self.edges.get(code, ())))

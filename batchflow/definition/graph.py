"""The graph of a workflow: its statuses, and the edges that its steps take between them."""

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
    """The graph between the statuses of a workflow, and what can be derived from it.

    Attributes:
        size: The number of statuses; their codes are 0 to ``size - 1``.
        edges: For the code of each status that has a step, the codes that the step may return, in
            the order of declaration.
    """

    size: int
    edges: Mapping[int, tuple[int, ...]]

    @cached_property
    def starting(self) -> frozenset[int]:
        """Return the statuses that have a step, and that no other status leads to."""
        # Runs also begin at a status that only leads to itself.
        led_to = {to for code, targets in self.edges.items() for to in targets if to != code}
        return frozenset(self.edges) - led_to

    @cached_property
    def terminal(self) -> frozenset[int]:
        """Return the statuses that have no step."""
        return frozenset(range(self.size)) - frozenset(self.edges)

    @cached_property
    def unreachable(self) -> frozenset[int]:
        """Return the statuses that have a step, but that no starting point leads to."""
        return frozenset(self.edges) - self.reachable_from(self.starting)

    def reachable_from(self, codes: frozenset[int]) -> frozenset[int]:
        """Return the statuses that runs at `codes` can reach, including these."""
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
        """Return the rank of each status, shape (size,).

        The rank is the length of the longest path to the status without backward edges. An edge
        leads forward exactly if its end has a higher rank than its start.
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
        """Return the maximum number of steps that a run at each status has left, shape (size,).

        Backward edges don't count, because it is unknown how often a run takes them.
        """
        ahead = np.zeros(self.size, dtype=np.int64)
        for code in sorted(self.edges, key=self.rank.__getitem__, reverse=True):
            onward = (to for to in self.edges[code] if self.rank[to] > self.rank[code])
            ahead[code] = 1 + max((ahead[to] for to in onward), default=0)
        ahead.setflags(write=False)
        return ahead

    @cached_property
    def leads_to(self) -> NDArray[np.bool_]:
        """Return whether forward edges lead from one status to another, shape (size, size).

        The matrix is indexed [from, to]. Each status leads to itself.
        """
        leads = np.eye(self.size, dtype=np.bool_)
        for code in sorted(self.edges, key=self.rank.__getitem__, reverse=True):
            onward = [to for to in self.edges[code] if self.rank[to] > self.rank[code]]
            leads[code] |= leads[onward].any(axis=0)
        leads.setflags(write=False)
        return leads

    def _ordered(self) -> list[int]:
        """Return all statuses in an order in which only edges of a cycle lead to an earlier one."""
        finished: dict[int, None] = {}
        entered: set[int] = set()
        for code in [*sorted(self.starting), *range(self.size)]:
            self._visit(code, entered, finished)
        return list(reversed(finished))

    def _visit(self, root: int, entered: set[int], finished: dict[int, None]) -> None:
        # A stack instead of recursion, because a chain of statuses may be long.
        stack = [(root, False)]
        while stack:
            code, done = stack.pop()
            if done:
                finished[code] = None
            elif code not in entered:
                entered.add(code)
                stack.append((code, True))
                stack.extend((to, False) for to in reversed(self.edges.get(code, ())))

"""The breakers of all steps that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from batchflow.coordinator.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import numpy as np

    from batchflow.definition import AnyWorkflow

Key: TypeAlias = tuple[str, int]
"""A step, by its workflow's name and the code of its status."""


class Breakers:
    """Which steps may be given runs now; a step without a breaker always may.

    Attributes:
        by_step: The breakers.
    """

    def __init__(self, workflows: Iterable[AnyWorkflow]) -> None:
        self.by_step: dict[Key, Breaker] = {
            (workflow.name, code): Breaker(workflow.name, step, share)
            for workflow in workflows
            for code, step in workflow.steps.items()
            if (share := step.options.retry.breaker) is not None
        }

    def observe(self, key: Key, counts: np.ndarray) -> None:
        """Take results of a step into account, as the number of runs by outcome."""
        if key in self.by_step:
            self.by_step[key].observe(counts)

    def follow(self, now: datetime, random: np.random.Generator) -> bool:
        """Open and close breakers; return whether any has changed."""
        changed = [breaker.follow(now, random) for breaker in self.by_step.values()]
        return any(changed)

    @property
    def held(self) -> list[Key]:
        """The steps whose breaker isn't closed."""
        return [key for key, breaker in self.by_step.items() if not breaker.is_closed]

    def held_of(self, workflow: str) -> frozenset[int]:
        """Return the codes of the statuses of a workflow whose step's breaker isn't closed."""
        return frozenset(code for name, code in self.held if name == workflow)

    def admits(self, key: Key, claim: object) -> bool:
        """Return whether the runs of a claim may be given to its step."""
        breaker = self.by_step.get(key)
        return breaker is None or breaker.admits(claim)

    def admits_claims(self, key: Key) -> bool:
        """Return whether more runs may be claimed for a step."""
        breaker = self.by_step.get(key)
        return breaker is None or breaker.admits_claims

    def most_claimed(self, key: Key) -> int | None:
        """Return how many runs may be claimed for a step at once; None without a limit."""
        breaker = self.by_step.get(key)
        return None if breaker is None else breaker.most_claimed

    def record_claim(self, key: Key, claim: object) -> None:
        """Record that runs were claimed for a step."""
        if key in self.by_step:
            self.by_step[key].record_claim(claim)

    def record_end(self, key: Key, claim: object) -> None:
        """Record that a claim is done."""
        if key in self.by_step:
            self.by_step[key].record_end(claim)

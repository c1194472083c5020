"""Walkers whose steps do as planned, by any way; workers import it, without pytest."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import batchflow as bf


class Place(enum.Enum):
    A = 0
    B = 1
    C = 2
    D = 3
    E = 4


PLACES = list(Place)


@dataclass
class Walker:
    number: int
    steps: int = 0
    trail: str = ""


class Walk:
    """A graph, and the step's answer for each run, status and visit.

    What it answers depends on the run alone: on its steps so far and on its attempt.
    """

    def __init__(self, edges: dict[int, list[int]], plan: list[dict[int, list[Any]]]) -> None:
        self.edges = edges
        self.plan = plan

    def choice(self, code: int, walker: Any, attempt: int) -> tuple[str, int]:
        answers = self.plan[walker.number][code]
        visit = walker.steps + attempt - 1
        if visit < len(answers):
            kind, edge = answers[visit]
            return kind, self.edges[code][edge % len(self.edges[code])]
        return "advance", max(self.edges[code])

    def row_step(self, code: int) -> Any:
        def step(run: bf.Run[Walker, Place]) -> Any:
            kind, to = self.choice(code, run.object, run.attempt)
            run.object.steps += 1
            run.object.trail += PLACES[code].name
            if kind == "fail":
                raise ValueError("as planned")
            if kind in ("pause", "cancel"):
                return getattr(run, kind)("as planned")
            return PLACES[to] if kind == "advance" else getattr(run, kind)()

        return step

    def batch_step(self, code: int) -> Any:
        def step(batch: bf.Batch[Walker, Place]) -> Any:
            chosen = [
                self.choice(code, Walker(int(number), int(steps)), int(attempt))
                for number, steps, attempt in zip(
                    batch["number"], batch["steps"], batch.attempt, strict=True
                )
            ]
            verbs = np.array([kind for kind, _ in chosen])
            if (verbs == "fail").any():
                raise ValueError("as planned")
            batch["steps"] = batch["steps"] + 1
            batch["trail"] = batch["trail"] + PLACES[code].name
            batch.skip(verbs == "skip")
            batch.repeat(verbs == "repeat")
            batch.pause(verbs == "pause", "as planned")
            batch.cancel(verbs == "cancel", "as planned")
            return np.array([PLACES[to] for _, to in chosen], dtype=object)

        return step

    def sql_step(self, code: int) -> dict[str, Any]:
        """Return the expressions that do the same; only advancing and failing can be planned."""
        failing, to = ["false"], [f"WHEN true THEN '{PLACES[max(self.edges[code])].name}'"]
        for number, answers in enumerate(self.plan):
            for visit, (kind, edge) in enumerate(answers[code]):
                here = f"number = {number} AND steps + attempt - 1 = {visit}"
                if kind == "fail":
                    failing.append(here)
                target = self.edges[code][edge % len(self.edges[code])]
                to.insert(0, f"WHEN {here} THEN '{PLACES[target].name}'")
        raised = f"CASE WHEN {' OR '.join(failing)} THEN error('as planned') ELSE steps + 1 END"
        trail = f"trail || '{PLACES[code].name}'"
        status = f"CASE {' '.join(to)} END"
        return {"set": {"steps": raised, "trail": trail}, "status": status}


def walking(
    edges: dict[int, list[int]],
    plan: list[dict[int, list[Any]]],
    kinds: Sequence[str] = ("row",),
    rows: int = 1,
    *,
    visits: bool = False,
    commits: Sequence[Any] = (None,),
) -> bf.Workflow[Walker, Place]:
    """Build a workflow whose steps do as planned."""
    retry = bf.Retry(backoff_seconds=1, jitter=0, pause_after=2)
    workflow = bf.Workflow("walkers", Walker, Place, retry=retry, chunk_rows=rows, visits=visits)
    walk = Walk(edges, plan)
    for code, to in edges.items():
        kind, commit = kinds[code % len(kinds)], commits[code % len(commits)]
        if kind == "sql":
            places = [PLACES[t] for t in to]
            workflow.sql_step(PLACES[code], to=places, commit=commit, **walk.sql_step(code))
            continue
        is_batch = kind == "batch"
        function = walk.batch_step(code) if is_batch else walk.row_step(code)
        workflow.add_step(
            PLACES[code],
            function,
            *(PLACES[t] for t in to),
            batch=is_batch,
            commit=commit,
        )
    return workflow

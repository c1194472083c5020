"""Which steps may follow each other within one visit, whose results are committed together."""

from __future__ import annotations

from batchflow.definition.step import Step


def commits_before(step: Step) -> bool:
    """Return whether the step only receives runs whose earlier steps are committed."""
    return step.options.commit == "before"


def commits_after(step: Step) -> bool:
    """Return whether the step's effect is committed before the next step of a run.

    A step that waits for something else would delay the results of the steps before it.
    """
    options = step.options
    return options.commit == "after" or options.side_effects or step.is_async or options.threads > 1


def may_follow(step: Step, following: Step) -> bool:
    """Return whether a run that `step` moved may receive `following` before a commit.

    Whether the run moved forward is for the caller to check.
    """
    if commits_after(step) or commits_before(following):
        return False
    return step.kind.in_store == following.kind.in_store

"""How far a drain is, step by step, and when it will be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchflow.picture import escaped, html_table
from batchflow.short_form import short_moment, short_number


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """What is left for one step.

    Attributes:
        from_status: where its runs come from.
        to_statuses: where they may go.
        left: runs that are at its status, or that a way forward may still lead there; so it is the
            most that it has to do, if none goes back.
        per_second: runs that it advanced a second, over the last half minute; 0 if there is no
            telling yet.
        at: the moment (aware) that this is said of.
    """

    workflow: str
    step: str
    from_status: str
    to_statuses: tuple[str, ...]
    left: int
    per_second: float
    at: datetime

    @property
    def done_by(self) -> datetime | None:
        """When it is done at this pace, in local time; None where there is no telling."""
        if not self.left:
            return self.at
        if not self.per_second:
            return None
        return self.at + timedelta(seconds=self.left / self.per_second)

    def __str__(self) -> str:
        way = f"{self.from_status} → {' | '.join(self.to_statuses)}"
        pace = f"{short_number(self.per_second)} a second"
        return f"{way}: {short_number(self.left)} left at most, {pace}{_by(self.done_by, self.at)}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a drain is.

    Attributes:
        at: the moment (aware) of the last commit, which this is said of.
        finished: runs that have got to a terminal status since the drain began.
        left: runs that wait for a step, or are being executed.
        paused: runs that were paused since it began.
        failed: failures since it began; a run that fails again counts again.
        executed: how many times a step was executed for a run.
        per_second: the same a second, over the last half minute.
        advanced: how many times a step moved a run on.
        steps_left: how many steps are ahead of the runs at most, if none goes back.
        standing: by workflow and status, in the order of their definition, where these runs are.
        steps: what is left for each step, by workflow, the earlier ones first.
    """

    at: datetime
    finished: int
    left: int
    paused: int
    failed: int
    executed: int
    per_second: float
    advanced: int
    steps_left: int
    standing: Mapping[str, Mapping[str, int]] = field(repr=False)
    steps: tuple[StepProgress, ...] = field(repr=False)

    @property
    def done_by(self) -> datetime | None:
        """When all steps are done at their pace, in local time; None where there is no telling."""
        moments = [step.done_by for step in self.steps if step.left]
        known = [moment for moment in moments if moment is not None]
        if len(known) < len(moments):
            return None
        return max(known, default=self.at)

    @property
    def summary(self) -> str:
        """All steps together in one line."""
        held = f"; {self.paused:,} paused" if self.paused else ""
        return (
            f"{self.finished:,} of {self.finished + self.left:,} runs finished{held}; "
            f"{self.executed:,} steps, {self.per_second:,.0f} a second{_by(self.done_by, self.at)}"
        )

    @property
    def lines(self) -> tuple[tuple[StepProgress, str], ...]:
        """The steps that have something left, each with a line that says how much."""
        several = len(self.standing) > 1
        return tuple(
            (step, f"{step.workflow}: {step}" if several else str(step))
            for step in self.steps
            if step.left
        )

    def __str__(self) -> str:
        return "\n".join([self.summary, *(line for _, line in self.lines)])

    def _repr_html_(self) -> str:
        heading = ("workflow", "step", "from", "left at most", "a second", "done by")
        rows = [
            (
                step.workflow,
                step.step,
                step.from_status,
                f"{step.left:,}",
                f"{step.per_second:,.0f}",
                "" if step.done_by is None else short_moment(step.done_by, step.at),
            )
            for step in self.steps
        ]
        return f"<div><p>{escaped(self.summary)}</p>{html_table(heading, rows, {3, 4})}</div>"


def _by(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else f", done by {short_moment(moment, now)}"

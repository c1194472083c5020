"""The progress of a drain, by step, and its estimated end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchflow.picture import escaped, html_table
from batchflow.short_form import short_moment, short_number


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """The remaining work of one step.

    Attributes:
        from_status: The status that its runs have.
        to_statuses: The statuses that they may move to.
        left: The number of runs at its status, and at each status from which a forward path leads
            there. The step has no more to do than that, unless runs move backward.
        per_second: The runs that it advanced per second over the last half minute; 0 if that isn't
            known yet.
        at: The time (aware) of these figures.
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
        """The estimated time (local) at which it is done; None if it isn't known."""
        if not self.left:
            return self.at
        if not self.per_second:
            return None
        return self.at + timedelta(seconds=self.left / self.per_second)

    def __str__(self) -> str:
        path = f"{self.from_status} → {' | '.join(self.to_statuses)}"
        rate = f"{short_number(self.per_second)} a second"
        return f"{path}: {short_number(self.left)} left at most, {rate}{_by(self.done_by, self.at)}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a drain.

    Attributes:
        at: The time (aware) of the last commit, and of these figures.
        finished: The runs that have reached a terminal status since the drain began.
        left: The runs that wait for a step, or are being executed.
        paused: The runs that were paused since the drain began.
        failed: The failures since the drain began; a run that fails again counts again.
        executed: How many times a step was executed for a run.
        per_second: The same per second, over the last half minute.
        advanced: How many times a step advanced a run.
        steps_left: The most steps that the runs still need, unless some move backward.
        status_counts: The number of these runs by workflow and status, in the order of the
            definition.
        steps: The remaining work of each step, by workflow, earlier steps first.
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
    status_counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    steps: tuple[StepProgress, ...] = field(repr=False)

    @property
    def done_by(self) -> datetime | None:
        """The estimated time (local) at which all steps are done; None if it isn't known."""
        moments = [step.done_by for step in self.steps if step.left]
        known = [moment for moment in moments if moment is not None]
        if len(known) < len(moments):
            return None
        return max(known, default=self.at)

    @property
    def summary(self) -> str:
        """One line about all steps together."""
        paused = f"; {self.paused:,} paused" if self.paused else ""
        return (
            f"{self.finished:,} of {self.finished + self.left:,} runs finished{paused}; "
            f"{self.executed:,} steps, {self.per_second:,.0f} a second{_by(self.done_by, self.at)}"
        )

    @property
    def lines(self) -> tuple[tuple[StepProgress, str], ...]:
        """The steps with remaining work, each with a line about it."""
        several = len(self.status_counts) > 1
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

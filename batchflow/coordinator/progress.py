"""The progress of a drain, by step, and its estimated end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batchflow.picture import escaped, html_table
from batchflow.short_form import counted, short_moment, short_number


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """The remaining work of one step.

    Attributes:
        from_status: The status that its runs have.
        to_statuses: The statuses that they may move to.
        left: The number of runs at its status, and at each status from which a forward path leads
            there. The step has no more to do than that, unless runs move backward.
        failed: Its failures since the drain began; a run that fails again counts again.
        skipped: How often it left a run as it is since the drain began.
        retrying: The runs at its status that wait for a retry, which isn't due yet.
        per_second: The runs that it advanced per second over the last half minute; 0 if that isn't
            known yet.
        done_by: The estimated time (local) at which it is done. That is the end of the drain while
            it has remaining work, because runs at later statuses are executed first. None if it
            isn't known.
        breaker_open: Whether its runs wait, because too many have failed.
    """

    workflow: str
    step: str
    from_status: str
    to_statuses: tuple[str, ...]
    left: int
    failed: int
    skipped: int
    retrying: int
    per_second: float
    done_by: datetime | None
    breaker_open: bool = False

    def __str__(self) -> str:
        path = f"{self.from_status} → {' | '.join(self.to_statuses)}"
        rate = f"{short_number(self.per_second)} a second"
        failed = f", {counted(self.failed, 'failure')}" if self.failed else ""
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        breaker = ", breaker open" if self.breaker_open else ""
        return f"{path}: {short_number(self.left)} left at most, {rate}{failed}{skipped}{breaker}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a drain.

    Attributes:
        at: The time (aware) of the last commit, and of these figures.
        finished: The runs that have reached a terminal status since the drain began.
        left: The runs that wait for a step, or are being executed.
        paused: The runs that were paused since the drain began.
        failed: The failures since the drain began; a run that fails again counts again.
        skipped: How often a step left a run as it is since the drain began.
        retrying: The runs that wait for a retry, which isn't due yet.
        next_retry_at: The time at which the first of them is due; None without one, and while
            it isn't known because the one before has just become due.
        executed: How many times a step was executed for a run.
        per_second: The same per second, over the last half minute.
        advanced: How many times a step advanced a run.
        steps_left: The most steps that the runs still need, unless some move backward.
        done_by: The estimated time (local) at which the drain is done. None if it isn't known,
            because a step that runs still need wasn't executed yet.
        earliest: The beginning of the range that probably contains the true time. The range is wide
            after the first chunks, and equal to `done_by` when the estimate is good.
        latest: The end of that range.
        status_counts: The number of these runs by workflow and status, in the order of the
            definition.
        steps: The remaining work of each step, by workflow, earlier steps first.
        chunks_in_flight: The chunks that workers had.
        workers: The number of workers.
        nodes: The number of machines that execute steps; None if that is always this one.
    """

    at: datetime
    finished: int
    left: int
    paused: int
    failed: int
    skipped: int
    retrying: int
    next_retry_at: datetime | None
    executed: int
    per_second: float
    advanced: int
    steps_left: int
    done_by: datetime | None
    earliest: datetime | None
    latest: datetime | None
    status_counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    steps: tuple[StepProgress, ...] = field(repr=False)
    chunks_in_flight: int = 0
    workers: int = 0
    nodes: int | None = None

    @property
    def end(self) -> str:
        """The estimated end, for people; a range while little is known; empty if nothing is."""
        if self.done_by is None or self.earliest is None or self.latest is None:
            return ""
        first, last = (short_moment(each, self.at) for each in (self.earliest, self.latest))
        if first == last:
            return f"done by {short_moment(self.done_by, self.at)} UTC"
        return f"done between {first} and {last} UTC"

    @property
    def place(self) -> str:
        """The machines and workers that execute steps, for people; empty if it is this machine."""
        if self.nodes is None:
            return ""
        if not self.nodes:
            return "waiting for a node"
        return f"{counted(self.nodes, 'node')} with {counted(self.workers, 'worker')}"

    @property
    def trouble(self) -> tuple[str, ...]:
        """The counts of runs that don't advance, for people; those that are zero are left out."""
        if self.next_retry_at is None:
            due = ""
        else:
            due = f", the next at {self.next_retry_at.astimezone(UTC):%H:%M:%S} UTC"
        verb = "waits" if self.retrying == 1 else "wait"
        counts = (
            (self.paused, f"{self.paused:,} paused"),
            (self.failed, counted(self.failed, "failure")),
            (self.skipped, f"{self.skipped:,} skipped"),
            (self.retrying, f"{self.retrying:,} {verb} for a retry{due}"),
        )
        return tuple(text for count, text in counts if count)

    @property
    def summary(self) -> str:
        """One line about all steps together."""
        end = f", {self.end}" if self.end else ""
        place = [self.place] if self.place else []
        return "; ".join(
            [
                f"{self.finished:,} of {counted(self.finished + self.left, 'run')} finished",
                *self.trouble,
                *place,
                f"{self.executed:,} steps, {self.per_second:,.0f} a second{end}",
            ]
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
        heading = ("workflow", "step", "from", "left at most", "a second", "failed", "skipped")
        rows = [
            (
                step.workflow,
                step.step,
                step.from_status,
                f"{step.left:,}",
                f"{step.per_second:,.0f}",
                f"{step.failed:,}",
                f"{step.skipped:,}",
            )
            for step in self.steps
        ]
        return f"<div><p>{escaped(self.summary)}</p>{html_table(heading, rows, {3, 4, 5, 6})}</div>"

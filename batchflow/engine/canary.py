"""Drains of which a sample of the runs goes first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from batchflow.engine.report import BreakerReport, FailureReport, Report, StepReport
from batchflow.errors import InvalidOptionError

ReportT = TypeVar("ReportT")


@dataclass(frozen=True)
class Canary:
    """How large the sample is, and how much of it may fail.

    Attributes:
        share: The share of the runs at each status.
        most_failed: The largest share of the sample that may fail.

    Raises:
        InvalidOptionError: One of them is no share.
    """

    share: float
    most_failed: float

    def __post_init__(self) -> None:
        given: tuple[tuple[str, object], ...] = (
            ("canary", self.share or None),
            ("canary_failures", self.most_failed),
        )
        for option, value in given:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= 1:  # type: ignore[operator]
                raise InvalidOptionError(
                    f"{option} is {value or 0!r}; give a share of the runs, above 0 and at most 1.",
                    option=option,
                )


def together(first: Report, second: Report) -> Report:
    """Return the report of two drains, one after the other."""
    return replace(
        second,
        steps=_steps([*first.steps, *second.steps]),
        failures=_failures([*first.failures, *second.failures]),
        seconds=first.seconds + second.seconds,
        newly_paused=first.newly_paused + second.newly_paused,
        older_failures=first.older_failures,
        unfinished_calls=first.unfinished_calls + second.unfinished_calls,
        breakers=_breakers([*first.breakers, *second.breakers]),
    )


def _merged(
    reports: Iterable[ReportT],
    key: Callable[[ReportT], Hashable],
    add: Callable[[ReportT, ReportT], ReportT],
) -> tuple[ReportT, ...]:
    """Return one report for each key."""
    found: dict[Hashable, ReportT] = {}
    for report in reports:
        known = found.get(key(report))
        found[key(report)] = report if known is None else add(known, report)
    return tuple(found.values())


def _steps(steps: Iterable[StepReport]) -> tuple[StepReport, ...]:
    return _merged(steps, lambda step: (step.workflow, step.step), _sum_of_steps)


def _sum_of_steps(first: StepReport, second: StepReport) -> StepReport:
    runs, seconds = first.runs + second.runs, first.seconds + second.seconds
    outcomes = dict(first.outcomes)
    for outcome, count in second.outcomes.items():
        outcomes[outcome] = outcomes.get(outcome, 0) + count
    return replace(
        first,
        runs=runs,
        outcomes=outcomes,
        seconds=seconds,
        runs_per_second=runs / seconds if seconds else 0.0,
        refused=first.refused + second.refused,
    )


def _breakers(breakers: Iterable[BreakerReport]) -> tuple[BreakerReport, ...]:
    return _merged(
        breakers,
        lambda breaker: (breaker.workflow, breaker.step),
        lambda first, second: replace(second, openings=first.openings + second.openings),
    )


def _failures(failures: Iterable[FailureReport]) -> tuple[FailureReport, ...]:
    merged = _merged(
        failures,
        lambda failure: (failure.workflow, failure.cause),
        lambda first, second: replace(second, count=first.count + second.count),
    )
    return tuple(sorted(merged, key=lambda each: -each.count))

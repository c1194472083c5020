"""The retry policy of a step: when a failed run is tried again, and when it is paused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from batchflow.errors import DefinitionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_BACKOFF_SECONDS: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Sets how long a failed run waits for its next attempt, and how often it is tried.

    After the n-th consecutive failure at one status a run waits
    ``min(backoff_seconds * multiplier ** (n - 1), max_backoff_seconds)``, less a random part of
    it. The wait is stored, delays that run only, and survives a restart. By default every
    `Exception` is tried again; any other exception, such as `SystemExit`, pauses the run at once.

    The defaults make ten attempts with waits of 1, 2, 4 and up to 256 seconds: eight and a half
    minutes in total, of which the jitter takes a tenth at most. So a run survives an outage of
    several minutes, and is soon tried again after one of a few seconds.

    A step's `Retry` is merged with its workflow's: options that it doesn't name are taken from
    there.

    Attributes:
        backoff_seconds: The wait after the first failure, 0 or more.
        multiplier: The factor between one wait and the next, 1 or more.
        max_backoff_seconds: The longest wait. Default: 300, or `backoff_seconds` if that is more.
        jitter: The largest part of a wait, from 0 to 1, that is left off at random, so that runs
            that failed together don't return together.
        pause_after: The number of consecutive failures that pauses the run, whatever their
            messages; None never pauses it.
        on: The exceptions that are tried again; any other pauses the run at once.
        never_on: Exceptions that pause the run at once, even if `on` includes them.
        resume_after: How long after such a pause the engine puts the run back, in seconds or as a
            timedelta; None leaves it to you. Other pauses always last until you end them.
        resume_most: How often the engine puts a run back at one status, until you do.
        breaker: The share of a step's recent runs, above 0 and at most 1, whose failure pauses the
            step: its runs wait, and keep their attempts. After a wait as above, a few of them try
            it, until less than the share of them fails. Default: None, which never pauses a step.

    Raises:
        DefinitionError: An option's value is invalid.
    """

    backoff_seconds: float = 1.0
    multiplier: float = 2.0
    max_backoff_seconds: float = _MAX_BACKOFF_SECONDS
    jitter: float = 0.1
    pause_after: int | None = 10
    on: tuple[type[BaseException], ...] = (Exception,)
    never_on: tuple[type[BaseException], ...] = ()
    resume_after: float | timedelta | None = None
    resume_most: int = 1
    breaker: float | None = None

    def __new__(cls, **options: Any) -> Self:
        """Record which options are named, as only these override the workflow's."""
        retry = super().__new__(cls)
        object.__setattr__(retry, "_named", frozenset(options))
        return retry

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise DefinitionError(problems=[f"Retry: {problem}" for problem in problems])
        if "max_backoff_seconds" not in self.named:
            longest = max(_MAX_BACKOFF_SECONDS, self.backoff_seconds)
            object.__setattr__(self, "max_backoff_seconds", longest)
        object.__setattr__(self, "on", tuple(self.on))
        object.__setattr__(self, "never_on", tuple(self.never_on))

    def _problems(self) -> Iterable[str]:
        for name in ("backoff_seconds", "max_backoff_seconds"):
            yield from _outside(name, getattr(self, name), 0, math.inf)
        yield from _outside("multiplier", self.multiplier, 1, math.inf)
        yield from _outside("jitter", self.jitter, 0, 1)
        if self.pause_after is not None and not _is_count(self.pause_after):
            yield f"pause_after is {self.pause_after!r}. Give a whole number from 1, or None."
        if self.breaker is not None and not _is_share(self.breaker):
            yield f"breaker is {self.breaker!r}. Give a share above 0 and at most 1, or None."
        for name in ("on", "never_on"):
            yield from _not_exceptions(name, getattr(self, name))
        yield from _not_a_wait("resume_after", self.resume_after)
        if not _is_count(self.resume_most):
            yield f"resume_most is {self.resume_most!r}. Give a whole number from 1."

    @property
    def named(self) -> dict[str, Any]:
        """Return the options that were named at creation, with their values."""
        names: frozenset[str] = self.__dict__["_named"]
        return {name: getattr(self, name) for name in sorted(names)}

    def merged_over(self, default: Retry) -> Retry:
        """Return a `Retry` with the options named here, and the others as named in `default`."""
        return Retry(**{**default.named, **self.named})

    @property
    def contradiction(self) -> str | None:
        """Return how the merged options contradict each other; None if they don't."""
        if self.backoff_seconds <= self.max_backoff_seconds:
            return None
        return (
            f"backoff_seconds {self.backoff_seconds:g} is above max_backoff_seconds "
            f"{self.max_backoff_seconds:g}. Raise max_backoff_seconds as well."
        )

    @property
    def resume_seconds(self) -> float | None:
        """Return how long after a pause the engine puts a run back; None if it doesn't."""
        after = self.resume_after
        return after.total_seconds() if isinstance(after, timedelta) else after

    def retries(self, exception_type: type[BaseException]) -> bool:
        """Return whether a run is tried again after this exception, or else paused at once."""
        return issubclass(exception_type, self.on) and not issubclass(exception_type, self.never_on)

    def pauses(self, attempts: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Return for each failed attempt, from 1, whether the run has no attempt left."""
        if self.pause_after is None:
            return np.zeros(len(attempts), dtype=np.bool_)
        return np.asarray(attempts >= self.pause_after)

    def backoff(
        self, attempts: NDArray[np.integer[Any]], random: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the seconds to wait after each failed attempt.

        Args:
            attempts: The number of each attempt that failed, from 1; shape (n,).
            random: The source of the jitter.

        Returns:
            Shape (n,): between ``1 - jitter`` and 1 times the wait. Jitter in both directions would
            set many long waits to exactly the longest one.
        """
        with np.errstate(over="ignore"):
            growth = np.power(self.multiplier, np.asarray(attempts, dtype=np.float64) - 1.0)
            # A backoff of 0 times an infinite growth would be not-a-number.
            growth = np.minimum(growth, np.finfo(np.float64).max)
            waits = np.minimum(self.backoff_seconds * growth, self.max_backoff_seconds)
        return np.asarray(waits * (1.0 - self.jitter * random.random(len(waits))))


def _outside(name: str, value: object, lowest: float, highest: float) -> Iterable[str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and lowest <= value <= highest:  # type: ignore[arg-type, operator]
        return
    bounds = f"from {lowest}" if math.isinf(highest) else f"from {lowest} to {highest}"
    yield f"{name} is {value!r}. Give a finite number {bounds}."


def _not_a_wait(name: str, value: object) -> Iterable[str]:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if value is not None and any(_outside(name, seconds, 0, math.inf)):
        yield f"{name} is {value!r}. Give seconds or a timedelta, from 0, or None."


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= 1  # type: ignore[operator]


def _not_exceptions(name: str, value: object) -> Iterable[str]:
    given = value if isinstance(value, tuple | list) else (value,)
    wrong = [one for one in given if not _is_exception_type(one)]
    if wrong or not isinstance(value, tuple | list):
        yield f"{name} is {value!r}. Give a tuple of exception classes."


def _is_exception_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)

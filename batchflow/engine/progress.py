"""How far a drain is: a bar for those who watch, a line now and then in the log for the others."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from batchflow.coordinator import Coordinator, Tally

log = logging.getLogger("batchflow")

_LINE_EVERY_SECONDS = 10.0


class Display(Protocol):
    """Shows how far a drain is."""

    def update(self, tally: Tally) -> None:
        """Show what has been done so far; called after each commit."""

    def close(self) -> None:
        """Leave it as it is at the end."""


class Progress:
    """Shows how far a drain is while the ``with`` block lasts.

    Args:
        coordinator: whose drain.
        show: a bar (true), lines in the log at INFO (false), or a bar where somebody watches.
    """

    def __init__(self, coordinator: Coordinator, show: bool | None) -> None:
        self._coordinator = coordinator
        watched = _is_watched() if show is None else show
        self._display: Display = Bar() if watched else Lines()

    def __enter__(self) -> Progress:
        self._coordinator.listeners.append(self._display.update)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._coordinator.listeners.remove(self._display.update)
        self._display.close()


class Bar:
    """A bar of the steps that runs advanced by, on a terminal or in a notebook.

    Its end is where it would be if every run went the longest way; those that end early bring the
    end nearer when all is done.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._ended = False
        self._watched = True

    def update(self, tally: Tally) -> None:
        """Draw it anew, if enough time has passed and the terminal is still there."""
        if self._watched:
            with self._unless_unwatched():
                self._draw(tally)

    def close(self) -> None:
        """Leave its last line behind."""
        if self._bar is not None:
            with self._unless_unwatched():
                self._leave()

    @contextlib.contextmanager
    def _unless_unwatched(self) -> Iterator[None]:
        # A terminal that was closed is no reason to stop, where it was said that it isn't.
        try:
            yield
        except OSError:
            self._watched = False
            if self._bar is not None:
                self._bar.disable = True

    def _draw(self, tally: Tally) -> None:
        if self._bar is None:
            self._bar = _bar(tally.expected_steps)
        advanced = tally.advanced
        self._bar.total = max(tally.expected_steps, advanced)
        self._bar.set_postfix_str(f"{tally.finished:,} runs finished", refresh=False)
        self._bar.update(advanced - self._bar.n)
        self._ended = tally.finished >= tally.expected

    def _leave(self) -> None:
        if self._ended:
            self._bar.total = self._bar.n
            self._bar.refresh()
        self._bar.close()


class Lines:
    """A line in the log every ten seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next_at = self._began + _LINE_EVERY_SECONDS

    def update(self, tally: Tally) -> None:
        """Write a line, if it is time for one."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _LINE_EVERY_SECONDS
        elapsed = now - self._began
        seconds_left = forecast_seconds(tally.expected_steps, tally.advanced, elapsed)
        done_by = datetime.now().astimezone() + timedelta(seconds=seconds_left)
        log.info(
            "%s of %s runs finished; %s steps, %s a second; %s left at most, done by %s",
            f"{tally.finished:,}",
            f"{max(tally.expected, tally.finished):,}",
            f"{tally.runs:,}",
            f"{tally.runs / elapsed:,.0f}",
            f"{max(0, tally.expected_steps - tally.advanced):,}",
            f"{done_by:%H:%M}",
            extra={
                "action": "progress",
                "finished": tally.finished,
                "expected": tally.expected,
                "steps": tally.runs,
                "done_by": done_by,
            },
        )

    def close(self) -> None:
        """Say nothing: the report does."""


def forecast_seconds(expected: int, done: int, elapsed_seconds: float) -> float:
    """Answer how long what is expected still takes, at the pace so far; 0 where none is known.

    It is the longest that it takes at this pace: runs that end early bring the end nearer.
    """
    return max(0, expected - done) * elapsed_seconds / done if done else 0.0


def _bar(total: int) -> Any:
    # Imported where it is needed: tqdm isn't free, and most processes never show a bar.
    from tqdm.auto import tqdm

    return tqdm(total=total, unit=" steps", unit_scale=True, dynamic_ncols=True)


def _is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules

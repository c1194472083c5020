"""Showing how far a drain is: a bar for those who watch, lines in the log for the others."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, Protocol

from batchflow.short_form import short_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from batchflow.coordinator import Coordinator, Forecast, Progress, Tally

log = logging.getLogger("batchflow")

_LINES_EVERY_SECONDS = 10.0
# Short, as the counts beside it say more.
_FORMAT: Final = "{percentage:3.0f}%|{bar:10}| [{elapsed}<{remaining}, {rate_fmt}]{postfix}"


class Display(Protocol):
    """Shows how far a drain is."""

    def update(self, progress: Progress) -> None:
        """Show what has been done so far; called when the drain begins and after each commit."""

    def close(self) -> None:
        """Leave it as it is at the end."""


class Showing:
    """Shows how far a drain is while the ``with`` block lasts.

    Args:
        coordinator: whose drain.
        forecast: hears of it before this does.
        show: a bar (true), lines in the log at INFO (false), or a bar where somebody watches.
    """

    def __init__(self, coordinator: Coordinator, forecast: Forecast, show: bool | None) -> None:
        self._coordinator = coordinator
        self._forecast = forecast
        watched = _is_watched() if show is None else show
        self._display: Display = Bar() if watched else Lines()

    def __enter__(self) -> Showing:
        self._coordinator.listeners.append(self._update)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._coordinator.listeners.remove(self._update)
        self._display.close()

    def _update(self, _: Tally) -> None:
        if self._forecast.progress is not None:
            self._display.update(self._forecast.progress)


class Bar:
    """A bar of the steps that runs advanced by, on a terminal or in a notebook.

    Its end is where it would be if every run went the longest way; those that end early bring the
    end nearer. Beside it stands where the runs are.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._watched = True

    def update(self, progress: Progress) -> None:
        """Draw it anew, if enough time has passed and the terminal is still there."""
        if self._watched:
            with self._unless_unwatched():
                self._draw(progress)

    def close(self) -> None:
        """Leave its last line behind."""
        if self._bar is not None:
            with self._unless_unwatched():
                self._bar.close()

    @contextlib.contextmanager
    def _unless_unwatched(self) -> Iterator[None]:
        # A terminal that was closed is no reason to stop, where it was said that it isn't.
        try:
            yield
        except OSError:
            self._watched = False
            if self._bar is not None:
                self._bar.disable = True

    def _draw(self, progress: Progress) -> None:
        total = progress.advanced + progress.steps_left
        if self._bar is None:
            if not total:
                # Nothing is to be done, and nothing shown.
                return
            self._bar = _bar(total)
        self._bar.total = total
        self._bar.set_postfix_str(said_of_runs(progress), refresh=False)
        self._bar.update(progress.advanced - self._bar.n)


class Lines:
    """Some lines in the log every ten seconds: one for all, and one for each step."""

    def __init__(self) -> None:
        self._next_at = time.monotonic() + _LINES_EVERY_SECONDS

    def update(self, progress: Progress) -> None:
        """Write lines, if it is time for them."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _LINES_EVERY_SECONDS
        log.info(
            "%s",
            progress.summary,
            extra={
                "action": "progress",
                "finished": progress.finished,
                "left": progress.left,
                "paused": progress.paused,
                "executed": progress.executed,
                "per_second": progress.per_second,
                "done_by": progress.done_by,
            },
        )
        for step, line in progress.lines:
            log.info(
                "%s",
                line,
                extra={
                    "action": "progress",
                    "workflow": step.workflow,
                    "step": step.step,
                    "left": step.left,
                    "per_second": step.per_second,
                    "done_by": step.done_by,
                },
            )

    def close(self) -> None:
        """Say nothing: the report does."""


def said_of_runs(progress: Progress) -> str:
    """Return where the runs are, in one line; what needs somebody comes first."""
    held = [f"{short_number(progress.paused)} paused"] if progress.paused else []
    there = [
        f"{status} {short_number(runs)}"
        for counts in progress.status_counts.values()
        for status, runs in counts.items()
        if runs
    ]
    return " · ".join([*held, *there])


def _bar(total: int) -> Any:
    # Imported where it is needed: tqdm isn't free, and most processes never show a bar.
    with warnings.catch_warnings():
        # A notebook without ipywidgets has the terminal's bar, which does as well.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    # A notebook's own bar stands where there is a bar without a length.
    form = _FORMAT.replace("{bar:10}", "{bar}") if _in_notebook() else _FORMAT
    return tqdm(total=total, unit=" steps", unit_scale=True, dynamic_ncols=True, bar_format=form)


def _is_watched() -> bool:
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules

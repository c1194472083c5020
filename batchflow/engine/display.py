"""Progress of a drain: a bar on a terminal or in a notebook, and lines in the log elsewhere."""

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
# Short, because the counts beside it show more. The bar's own estimate of the remaining time isn't
# shown: it knows neither the rates of the steps nor the retries.
_FORMAT: Final = "{percentage:3.0f}%|{bar:10}| [{elapsed}, {rate_fmt}]{postfix}"


class Display(Protocol):
    """Shows the progress of a drain."""

    def update(self, progress: Progress) -> None:
        """Show the progress; called when the drain begins and after each commit."""

    def close(self) -> None:
        """Leave the last state on the screen."""


class Showing:
    """Shows the progress of a drain within a ``with`` block.

    Args:
        coordinator: The coordinator that drains.
        forecast: Knows the progress; it is updated before this.
        show: Whether to show a bar (True) or log lines at INFO (False); None shows a bar on a
            terminal and in a notebook.
    """

    def __init__(self, coordinator: Coordinator, forecast: Forecast, show: bool | None) -> None:
        self._coordinator = coordinator
        self._forecast = forecast
        interactive = _is_interactive() if show is None else show
        self._display: Display = Bar() if interactive else Lines()

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

    Its length is that of the longest way for every run, and shrinks when runs end early. Beside it
    are the counts of runs by status.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._visible = True

    def update(self, progress: Progress) -> None:
        """Redraw the bar, if enough time has passed and the terminal is still open."""
        if self._visible:
            with self._while_visible():
                self._draw(progress)

    def close(self) -> None:
        """Leave the last line on the screen."""
        if self._bar is not None:
            with self._while_visible():
                self._bar.close()

    @contextlib.contextmanager
    def _while_visible(self) -> Iterator[None]:
        # Under nohup a drain outlives its terminal.
        try:
            yield
        except OSError:
            self._visible = False
            if self._bar is not None:
                self._bar.disable = True

    def _draw(self, progress: Progress) -> None:
        total = progress.advanced + progress.steps_left
        if self._bar is None:
            if not total:
                # There is nothing to do, so there is nothing to show.
                return
            self._bar = _bar(total)
        self._bar.total = total
        self._bar.set_postfix_str(runs_line(progress), refresh=False)
        self._bar.update(progress.advanced - self._bar.n)


class Lines:
    """Lines in the log every ten seconds: one for the drain and one for each step."""

    def __init__(self) -> None:
        self._next_at = time.monotonic() + _LINES_EVERY_SECONDS

    def update(self, progress: Progress) -> None:
        """Log the lines, if ten seconds have passed."""
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
                "failed": progress.failed,
                "skipped": progress.skipped,
                "retrying": progress.retrying,
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
                    "failed": step.failed,
                    "skipped": step.skipped,
                    "per_second": step.per_second,
                },
            )

    def close(self) -> None:
        """Log nothing, as the report follows."""


def runs_line(progress: Progress) -> str:
    """Return the end and the counts of runs by status in one line; those in trouble come first."""
    end = [progress.end] if progress.end and progress.left else []
    by_status = [
        f"{status} {short_number(runs)}"
        for counts in progress.status_counts.values()
        for status, runs in counts.items()
        if runs
    ]
    return " · ".join([*progress.trouble, *end, *by_status])


def _bar(total: int) -> Any:
    # Imported here, as most processes never show a bar.
    with warnings.catch_warnings():
        # tqdm warns in a notebook without ipywidgets, where it shows the terminal's bar.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    # A notebook's own bar replaces a bar without a length.
    form = _FORMAT.replace("{bar:10}", "{bar}") if _in_notebook() else _FORMAT
    return tqdm(total=total, unit=" steps", unit_scale=True, dynamic_ncols=True, bar_format=form)


def _is_interactive() -> bool:
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules

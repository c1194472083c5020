"""The status of a store on a terminal, refreshed in place."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchflow.cli.interruption import Interruption
from batchflow.cli.store_snapshot import StoreSnapshot, take_snapshot
from batchflow.definition import RunState
from batchflow.short_form import short_number

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table
    from rich.text import Text

    from batchflow.coordinator import Progress, StepProgress

_FORECAST: Final = ("left at most", "per second", "failed", "to retry", "breaker")
_WIDEST: Final = 10_000
_STYLES: Final = {"PAUSED": "bold yellow", "COMPLETED": "green", "CANCELLED": "dim"}


def watch(store: Path, workflow: str | None, every_seconds: float) -> None:
    """Show the status counts until Ctrl-C; the last ones stay on the terminal.

    Raises:
        StoreError: The file is no store, or can't be queried.
    """
    if not sys.stdout.isatty():
        raise click.UsageError(
            "--watch needs a terminal, and the output isn't one. Repeat the command instead."
        )
    # Imported here, like everything that only some commands use.
    from rich.console import Console
    from rich.live import Live

    with (
        Live(console=Console(highlight=False), auto_refresh=False) as live,
        Interruption() as interruption,
    ):
        try:
            while True:
                live.update(screen(store, take_snapshot(store, workflow)), refresh=True)
                time.sleep(every_seconds)
        except BaseException:
            # Ctrl-C ends the watch normally. A query that it interrupts raises another exception.
            if interruption.exit_code is None:
                raise


def screen(store: Path, snapshot: StoreSnapshot) -> RenderableType:
    """Return what the terminal shows of one snapshot."""
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble(
        (str(store), "bold"), f" at {snapshot.at:%H:%M:%S} UTC: {_engine_state(snapshot)}"
    )
    return Group(head, *_overall_progress(snapshot.progress), "", *_tables(snapshot))


def _engine_state(snapshot: StoreSnapshot) -> str:
    if snapshot.held:
        return snapshot.held
    if not snapshot.served:
        return "no engine is running"
    return "an engine is idle" if snapshot.progress is None else "an engine is running"


def _overall_progress(progress: Progress | None) -> Iterator[RenderableType]:
    from rich.progress_bar import ProgressBar

    if progress is not None:
        yield progress.summary
        yield ProgressBar(max(progress.finished + progress.left, 1), progress.finished, width=50)


def _tables(snapshot: StoreSnapshot) -> Iterator[RenderableType]:
    steps = {} if snapshot.progress is None else _by_status(snapshot.progress)
    for name, counts in snapshot.counts.items():
        of_steps = steps.get(name)
        yield _TableOrList(_table(name, counts, of_steps), _list(name, counts, of_steps))


def _by_status(progress: Progress) -> dict[str, dict[str, StepProgress]]:
    steps: dict[str, dict[str, StepProgress]] = {}
    for step in progress.steps:
        steps.setdefault(step.workflow, {})[step.from_status] = step
    return steps


@dataclass(frozen=True)
class _TableOrList:
    """A table, or the list that replaces it on a terminal that is too narrow for its columns."""

    table: Table
    instead: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        wide = options.update(max_width=_WIDEST)
        needed = Measurement.get(console, wide, self.table).maximum
        yield self.table if needed <= options.max_width else self.instead


def _list(
    name: str,
    counts: Mapping[str, Mapping[str, int]],
    steps: Mapping[str, StepProgress] | None,
) -> Text:
    from rich.text import Text

    text = Text.assemble((name, "bold"), overflow="fold")
    for status, runs in counts.items():
        numbers = [f"{_words(state)} {runs[state]:,}" for state in _states(counts) if state in runs]
        forecast = zip(_forecast(steps, status), _FORECAST, strict=False)
        shown = [*(numbers or ["0"]), *(f"{value} {what}" for value, what in forecast if value)]
        text.append(f"\n{status}\n    {', '.join(shown)}")
    return text.append("\n")


def _states(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    occurring = {state for runs in counts.values() for state in runs}
    return [state.name for state in RunState if state.name in occurring]


def _words(state: str) -> str:
    return state.lower().replace("_", " ")


def _table(
    name: str,
    counts: Mapping[str, Mapping[str, int]],
    steps: Mapping[str, StepProgress] | None,
) -> Table:
    from rich import box
    from rich.table import Table

    states = _states(counts)
    table = Table(box=box.SIMPLE_HEAD, title=name, title_justify="left", title_style="bold")
    table.add_column("status", no_wrap=True)
    for state in states:
        table.add_column(_words(state), justify="right", style=_STYLES.get(state, ""))
    headings = _headings(steps or {})
    if steps is not None:
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
    for status, runs in counts.items():
        numbers = [f"{runs[state]:,}" if state in runs else "" for state in states]
        table.add_row(status, *numbers, *_forecast(steps, status)[: len(headings)])
    return table


def _headings(steps: Mapping[str, StepProgress]) -> tuple[str, ...]:
    is_open = any(step.breaker_open for step in steps.values())
    return _FORECAST if is_open else _FORECAST[:-1]


def _forecast(steps: Mapping[str, StepProgress] | None, status: str) -> tuple[str, ...]:
    if steps is None:
        return ()
    step = steps.get(status)
    if step is None:
        return ("",) * len(_FORECAST)
    left = (short_number(step.left), short_number(step.per_second)) if step.left else ("", "")
    trouble = (f"{count:,}" if count else "" for count in (step.failed, step.retrying))
    return *left, *trouble, "open" if step.breaker_open else ""

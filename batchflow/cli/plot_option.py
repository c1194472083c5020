"""Drawing an answer to a file instead of writing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.atomic_write import atomic_path
from batchflow.cli.output import note
from batchflow.cli.workflow_choice import choose_workflow

if TYPE_CHECKING:
    from batchflow.access import StoreClient
    from batchflow.store import PlottableRelation


def plot_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command be told where to draw its answer, and give it that as ``plot``."""
    return click.option(
        "--plot",
        metavar="OUT.svg|OUT.png",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_checked,
        help="Draw one workflow's to a file instead; an older one is replaced.",
    )(command)


def _checked(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    from batchflow.chart import SUFFIXES

    if path is not None and path.suffix not in SUFFIXES:
        raise click.BadParameter(
            f"{str(path)!r} has to end with {' or '.join(SUFFIXES)}.", context, option
        )
    return path


def write_plot(
    reader: StoreClient,
    ask: Callable[..., PlottableRelation],
    workflow: str | None,
    path: Path,
) -> None:
    """Draw what is answered of one workflow.

    Raises:
        PlotError: matplotlib isn't installed.
    """
    drawn = ask(reader, workflow=choose_workflow(reader, workflow)).plot()
    with atomic_path(path) as beside:
        beside.write_bytes(drawn.encoded(path.suffix))
    note(f"plot: written to {path}")

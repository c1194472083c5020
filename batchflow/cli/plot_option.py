"""The option ``--plot``, which writes a plot of a query's result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.output import note
from batchflow.cli.workflow_choice import choose_workflow
from batchflow.export.atomic_write import atomic_path

if TYPE_CHECKING:
    from batchflow.cli.opening import OpenedStore
    from batchflow.store import PlottableRelation


def plot_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--plot`` to a command, which receives its path as ``plot``."""
    return click.option(
        "--plot",
        metavar="OUT.svg|OUT.png",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_check_suffix,
        help="Write a plot of one workflow instead; an existing file is replaced.",
    )(command)


def _check_suffix(
    context: click.Context, option: click.Parameter, path: Path | None
) -> Path | None:
    from batchflow.chart import SUFFIXES

    if path is not None and path.suffix not in SUFFIXES:
        raise click.BadParameter(
            f"{str(path)!r} must end with {' or '.join(SUFFIXES)}.", context, option
        )
    return path


def write_plot(
    reader: OpenedStore,
    query: Callable[..., PlottableRelation],
    workflow: str | None,
    path: Path,
) -> None:
    """Query one workflow, and write a plot of the result.

    Raises:
        PlotError: matplotlib isn't installed.
    """
    plot = query(reader, workflow=choose_workflow(reader, workflow)).plot()
    with atomic_path(path) as beside:
        beside.write_bytes(plot.encoded(path.suffix))
    note(f"Plot written to {path}.")

"""The output formats of queries, and the options that choose one."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batchflow.cli.options import json_option
from batchflow.export.earlier_export import is_parquet_export

_STDOUT = "-"


@dataclass(frozen=True)
class OutputFormat:
    """The chosen format; a table by default.

    Attributes:
        parquet: The Parquet file to write, or ``-`` for stdout.
    """

    as_json: bool = False
    as_csv: bool = False
    parquet: Path | None = None

    def __post_init__(self) -> None:
        if self.as_json + self.as_csv + (self.parquet is not None) > 1:
            raise click.UsageError("Give only one of --json, --csv and --parquet.")
        if self.is_stdout and sys.stdout.isatty():
            raise click.UsageError(
                "A terminal can't show Parquet. Redirect the output to a file or a pipe."
            )
        if self.parquet is not None and not self.is_stdout:
            _check_replaceable(self.parquet)

    @property
    def is_stdout(self) -> bool:
        """Return whether Parquet is written to stdout."""
        return str(self.parquet) == _STDOUT


def _check_replaceable(path: Path) -> None:
    """Protect other files, such as the store, from being replaced by mistake."""
    if not path.name:
        raise click.UsageError("--parquet needs the name of a file.")
    if os.path.lexists(path) and not is_parquet_export(path):
        raise click.UsageError(
            f"{str(path)!r} exists and isn't a Parquet file that batchflow wrote. Give another "
            "name, or remove it."
        )


def format_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the formats to a command, which receives the choice as ``form``."""

    @functools.wraps(command)
    def with_format(*, as_json: bool, as_csv: bool, parquet: Path | None, **others: Any) -> None:
        command(form=OutputFormat(as_json, as_csv, parquet), **others)

    csv_option = click.option(
        "--csv", "as_csv", is_flag=True, help="Write CSV, with nested values as JSON."
    )
    parquet_option = click.option(
        "--parquet",
        metavar="PATH",
        type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
        help="Write a Parquet file; - is stdout, and a file that a command wrote is replaced.",
    )
    return json_option(csv_option(parquet_option(with_format)))

"""In which form a reading command writes what it found."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batchflow.cli.atomic_write import is_parquet
from batchflow.cli.options import json_option

_STDOUT = "-"


@dataclass(frozen=True)
class OutputFormat:
    """A table for people, or one of the others.

    Attributes:
        parquet: the file to write, or ``-`` for stdout.
    """

    as_json: bool = False
    as_csv: bool = False
    parquet: Path | None = None

    def __post_init__(self) -> None:
        if self.as_json + self.as_csv + (self.parquet is not None) > 1:
            raise click.UsageError("Give one of --json, --csv and --parquet.")
        if self.is_stdout and sys.stdout.isatty():
            raise click.UsageError("A terminal can't show Parquet; send it to a file or a pipe.")
        if self.parquet is not None and not self.is_stdout:
            _refuse_other_files(self.parquet)

    @property
    def is_stdout(self) -> bool:
        """Whether Parquet is written to stdout."""
        return str(self.parquet) == _STDOUT


def _refuse_other_files(path: Path) -> None:
    """Keep a slip from replacing the store, say."""
    if not path.name:
        raise click.UsageError("--parquet was given no file's name.")
    if os.path.lexists(path) and not is_parquet(path):
        raise click.UsageError(
            f"{str(path)!r} is there and is no Parquet file; give another name, or remove it."
        )


def format_option(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command be told one of the forms, and give it that as ``form``."""

    @functools.wraps(command)
    def with_format(*, as_json: bool, as_csv: bool, parquet: Path | None, **others: Any) -> None:
        command(form=OutputFormat(as_json, as_csv, parquet), **others)

    csv_option = click.option(
        "--csv", "as_csv", is_flag=True, help="Write CSV; nested values as JSON."
    )
    parquet_option = click.option(
        "--parquet",
        metavar="PATH",
        type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
        help="Write a Parquet file, or to stdout by '-'; an older one is replaced.",
    )
    return json_option(csv_option(parquet_option(with_format)))

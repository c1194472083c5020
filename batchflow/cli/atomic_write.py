"""Files and folders that are there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from batchflow.cli.exit_code import ExitCode

_PARQUET_MAGIC = b"PAR1"


class WriteFailedError(click.ClickException):
    """A file can't be written."""

    exit_code = ExitCode.FAILED


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write under; what was written takes its name at the end.

    Where it is interrupted or fails, nothing of it stays, and what was at `path` before does.

    Raises:
        WriteFailedError: the system refuses it.
    """
    beside = _beside(path, "part")
    try:
        yield beside
        _take_name(beside, path)
    except OSError as error:
        raise WriteFailedError(f"{str(path)!r} can't be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(beside)


def is_parquet(path: Path) -> bool:
    """Tell whether it is a Parquet file, or a folder of such files alone."""
    if path.is_dir():
        return all(is_parquet(each) for each in path.iterdir())
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def _take_name(beside: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(beside, path)
        return
    # A folder that isn't empty can't be replaced in one go.
    before = _beside(path, "before")
    os.replace(path, before)
    os.replace(beside, path)
    _remove(before)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{what}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

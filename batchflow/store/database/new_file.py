"""Creating a store's file: after a crash it exists completely or not at all.

A crash during the very first writes of a DuckDB file leaves a file that can't be opened. So a new
file is written in a folder beside its path, and moved to its path when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

from batchflow.errors import StoreFormatError
from batchflow.store.database.instance import MEMORY_CATALOG, Cursor, attach, free_catalog
from batchflow.store.database.sync import sync

_UNFINISHED: Final = "unfinished"


def create_file(
    path: Path,
    instance: Cursor,
    write: Callable[[Cursor], None],
    schemas: Container[str] = frozenset(),
) -> None:
    """Create the file at `path`.

    Args:
        path: Where the file will be; no file exists there.
        instance: An instance of DuckDB that may access files; the file isn't open in it afterwards.
        write: Writes the first content into the current catalog of the instance, and commits it.
        schemas: The names of the schemas in it.
    """
    catalog = free_catalog(_UNFINISHED, schemas)
    _refuse_orphaned_log(path)
    folder = _creation_folder(path)
    folder.mkdir(0o700)
    unfinished = folder / path.name
    try:
        attach(instance, str(unfinished), catalog)
        instance.execute(f"USE {catalog}.main")
        write(instance)
        instance.execute("CHECKPOINT")
        instance.execute(f"USE {MEMORY_CATALOG}.main")
        instance.execute(f"DETACH {catalog}")
        unfinished.rename(path)
    finally:
        remove_unfinished(path)
    sync(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what a process that was killed while it created the store left behind."""
    folder = _creation_folder(path)
    if folder.is_dir() and not folder.is_symlink():
        for leftover in (folder / path.name, log_of(folder / path.name)):
            leftover.unlink(missing_ok=True)
        folder.rmdir()
    else:
        folder.unlink(missing_ok=True)


def log_of(path: Path) -> Path:
    """Return where DuckDB keeps the log of the file at `path`."""
    return path.with_name(path.name + ".wal")


def _creation_folder(path: Path) -> Path:
    """Return the folder, accessible to its owner only, that holds the file until it is complete."""
    return path.with_name(path.name + ".new")


def _refuse_orphaned_log(path: Path) -> None:
    log = log_of(path)
    if log.exists():
        raise StoreFormatError(
            f"The log {str(log)!r} exists, but the store {str(path)!r} that it belongs to does "
            "not: put the store back, or remove the log if you don't need its runs."
        )

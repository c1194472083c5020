"""Rewriting a set of shards, or one store, into another number of shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from batchflow.clock import SystemClock
from batchflow.errors import StoreFormatError
from batchflow.shards.pattern import Pattern
from batchflow.shards.placing import place, set_locked
from batchflow.store.resharding import closed_stores, next_slot, write_shards
from batchflow.store.schema.shard import Shard, ShardNumber


def reshard(pattern: Pattern, paths: Sequence[Path], shards: int) -> None:
    """Replace the files of a set by those of another number of shards.

    The new files are written beside the old ones, which stay as they are until all are complete.

    Raises:
        StoreHeldError: Another process has one of the stores open.
        StoreFormatError: The stores differ in a workflow, or in the files that were loaded.
        StoreError: The new stores can't be written.
    """
    clock = SystemClock().now
    with set_locked(pattern, clock()), closed_stores(paths, clock):
        _rewrite(pattern, paths, shards, clock)


def split(path: Path, pattern: Pattern, shards: int) -> None:
    """Write the runs of an ordinary store into a new set; the store stays as it is.

    Raises:
        StoreHeldError: Another process has the store open.
        StoreFormatError: The store is a shard, or there are files with the names of the set.
        StoreError: The new stores can't be written.
    """
    clock = SystemClock().now
    with set_locked(pattern, clock()), closed_stores([path], clock):
        found = ", ".join(each.name for each in pattern.found().values())
        if found:
            raise StoreFormatError(
                f"{found} exist already in {str(pattern.folder)!r}; give another path for the set."
            )
        _rewrite(pattern, [path], shards, clock)


def _rewrite(
    pattern: Pattern, paths: Sequence[Path], shards: int, clock: Callable[[], datetime]
) -> None:
    slot, shard_set = next_slot(paths), uuid4()

    def make(folder: Path) -> None:
        made = [
            (
                folder / pattern.file(number),
                Shard(ShardNumber(number, shards), shard_set, pattern.name, slot + number - 1),
            )
            for number in range(1, shards + 1)
        ]
        write_shards(paths, made, clock)

    place(pattern, shards, make)

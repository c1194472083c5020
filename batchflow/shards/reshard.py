"""Rewriting a set of shards into another number of shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from batchflow.clock import SystemClock
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

"""Creating the files of a set, all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from batchflow.access import StoreClient
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import InvalidOptionError, StoreFormatError
from batchflow.shards.pattern import PLACEHOLDER, Pattern, is_pattern
from batchflow.shards.placing import place, set_locked
from batchflow.store.schema.shard import Shard, ShardNumber
from batchflow.store.store import Store

Clock = Callable[[], datetime]


def path_of_shard(
    path: str | os.PathLike[str], number: ShardNumber | None, clock: Clock
) -> str | os.PathLike[str]:
    """Return the path of the store to open; with a number, the set is created if there is none.

    Raises:
        InvalidOptionError: The path has the placeholder without a number, or the other way round.
        StoreFormatError: Some files of the set are missing.
    """
    if number is None:
        if is_pattern(path):
            raise InvalidOptionError(
                f"The path {os.fspath(path)!r} has {PLACEHOLDER}, so it stands for several stores; "
                'give the one that this engine opens, like shard="1/4".',
                option="shard",
            )
        return path
    pattern = Pattern.of(path)
    own = pattern.path(number.shard)
    if not own.exists() or pattern.ready.is_dir():
        create_set(pattern, number.shards, (), clock)
    return own


def create_set(
    pattern: Pattern, shards: int, workflows: tuple[AnyWorkflow, ...], clock: Clock
) -> None:
    """Create the files of a set, unless there are such files.

    Processes that do this at the same time get the same set.

    Args:
        pattern: Their names.
        shards: Their number.
        workflows: The workflows that the new stores can hold runs of at once.
        clock: Returns the present time.

    Raises:
        StoreFormatError: Some of the files exist, and some don't.
    """
    with set_locked(pattern, clock()):
        found = pattern.found()
        missing = [pattern.file(each) for each in range(1, shards + 1) if each not in found]
        if not missing:
            return
        if found:
            raise _incomplete(pattern, missing, list(found.values()))

        def make(folder: Path) -> None:
            shard_set = uuid4()
            made = {
                folder / pattern.file(each): Shard(
                    ShardNumber(each, shards), shard_set, pattern.name, slot=each - 1
                )
                for each in range(1, shards + 1)
            }
            Store.create_shards(made, workflows, clock=clock)

        place(pattern, shards, make)


def lay_out_in(
    clients: Sequence[StoreClient],
    workflows: Sequence[AnyWorkflow],
    clock: Clock,
) -> None:
    """Create the tables of workflows in the shards that lack them and that no engine has open."""
    for client in clients if workflows else ():
        lacking = {each.name for each in workflows} - set(client._catalog.tables(None))
        if lacking and not client.served:
            with closing(Store.open(client.path, workflows, clock=clock)):
                pass


def _incomplete(pattern: Pattern, missing: list[str], found: list[Path]) -> StoreFormatError:
    there = ", ".join(each.name for each in found)
    return StoreFormatError(
        f"The set {pattern.text!r} lacks {', '.join(missing)}, but {there} exist. Give the number "
        "of shards that the set was created with, or put the missing files back."
    )

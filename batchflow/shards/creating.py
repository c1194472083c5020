"""Creating the files of a set, all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from batchflow.access import StoreClient
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import EngineStateError, InvalidOptionError, StoreFormatError
from batchflow.shards.pattern import PLACEHOLDER, Pattern, is_pattern
from batchflow.shards.placing import place, set_locked
from batchflow.store.schema.shard import Shard, ShardNumber
from batchflow.store.store import Store

Clock = Callable[[], datetime]


def path_of_shard(
    path: str | os.PathLike[str],
    number: ShardNumber | None,
    workflows: Sequence[AnyWorkflow],
    clock: Clock,
) -> str | os.PathLike[str]:
    """Return the path of the store to open; with a number, the set is created if there is none.

    All shards of a new set get the tables of the workflows.

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
        create_set(pattern, number.shards, workflows, clock)
    return own


def create_set(
    pattern: Pattern, shards: int, workflows: Sequence[AnyWorkflow], clock: Clock
) -> None:
    """Create the files of a set, unless there are such files.

    Processes that do this at the same time get the same set.

    Args:
        pattern: Their names.
        shards: Their number.
        workflows: The workflows of the set.
        clock: Returns the present time.

    Raises:
        InvalidOptionError: There are no such files, and no workflows for new ones.
        StoreFormatError: Some of the files exist, and some don't.
    """
    with set_locked(pattern, clock()):
        found = pattern.found()
        missing = [pattern.file(each) for each in range(1, shards + 1) if each not in found]
        if not missing:
            return
        if found:
            raise _incomplete(pattern, missing, list(found.values()))
        if not workflows:
            # Each shard would get those that its first engine has, which may differ.
            raise InvalidOptionError(
                f"There is no set {pattern.text!r}, and a new one needs its workflows; give them, "
                f"like Stores(path, orders, shards={shards}).",
                option="workflows",
            )

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
    """Create the tables of workflows in all shards that lack them, which no engine may have open.

    If it is killed, some shards have them and some don't: `check` finds that, and the next call
    completes it.

    Raises:
        EngineStateError: An engine has one of these shards open; nothing was changed.
    """
    lacking: dict[StoreClient, list[AnyWorkflow]] = {}
    for client in clients if workflows else ():
        known = client._catalog.tables(None)
        new = [each for each in workflows if each.name not in known]
        if new:
            lacking[client] = new
    for client, new in lacking.items():
        if client.served:
            names = ", ".join(repr(each.name) for each in new)
            raise EngineStateError(
                f"The set lacks workflow {names}, and an engine has {client.path!r} open, so no "
                "shard got it. Close all engines of the set, and repeat the call."
            )
    for client, new in lacking.items():
        Store.add_to_shard(client.path, new, clock=clock)


def _incomplete(pattern: Pattern, missing: list[str], found: list[Path]) -> StoreFormatError:
    there = ", ".join(each.name for each in found)
    return StoreFormatError(
        f"The set {pattern.text!r} lacks {', '.join(missing)}, but {there} exist. Give the number "
        "of shards that the set was created with, or put the missing files back."
    )

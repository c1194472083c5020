"""Finding the files of a set, and checking that they are one."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from batchflow.access import StoreClient, connect
from batchflow.errors import InvalidOptionError, QueryError, StoreFormatError
from batchflow.shards.pattern import PLACEHOLDER, Pattern, is_pattern
from batchflow.shards.placing import finish_placing, set_locked
from batchflow.store.schema.shard import READ_SHARD, READY, Shard, ShardNumber, shard_of_row

_SUFFIX: Final = ".duckdb"


def is_set(path: str | os.PathLike[str]) -> bool:
    """Return whether a path stands for several stores: a pattern, a glob or a folder."""
    return is_pattern(path) or _is_glob(path) or os.path.isdir(path)


def clients_of(path: str | os.PathLike[str], shards: int | None = None) -> list[StoreClient]:
    """Return a client of each shard of a set, in the order of their numbers.

    Args:
        path: The path of the files with ``{shard}``, a glob that they match, or their folder.
        shards: How many there have to be; None for any number.

    Raises:
        StoreFormatError: There are none, some are missing, or they are no set.
        StoreHeldError: Another process has one of them open and doesn't listen.
    """
    clients = [connect(each) for each in _paths(path)]
    if not clients:
        raise StoreFormatError(
            f"There are no shards at {os.fspath(path)!r}. Give their pattern, like "
            '"night-{shard}.duckdb", a glob or their folder; shards= creates a new set.'
        )
    found = {client.path: _shard_of(client) for client in clients}
    _require_set(path, found, shards)
    return sorted(clients, key=lambda client: found[client.path].number.shard)


def stored_shards(clients: list[StoreClient]) -> list[Shard]:
    """Return what each file states about its set."""
    return [_shard_of(client) for client in clients]


def pattern_of(path: str | os.PathLike[str], clients: list[StoreClient]) -> Pattern:
    """Return the pattern of a set's files.

    Raises:
        InvalidOptionError: Their names have no common pattern.
    """
    if is_pattern(path):
        return Pattern.of(path)
    first = clients[0].path
    shard = _shard_of(clients[0])
    pattern = Pattern(os.path.join(os.path.dirname(first), shard.pattern))
    if [str(pattern.path(number)) for number in range(1, len(clients) + 1)] != [
        client.path for client in clients
    ]:
        raise InvalidOptionError(
            f"The files at {os.fspath(path)!r} were renamed; give the path with {PLACEHOLDER} in "
            "place of the number.",
            option="path",
        )
    return pattern


def _paths(path: str | os.PathLike[str]) -> list[Path]:
    now = datetime.now(UTC)
    if is_pattern(path):
        pattern = Pattern.of(path)
        if pattern.ready.is_dir():
            with set_locked(pattern, now):
                finish_placing(pattern)
        return list(pattern.found().values())
    text = os.fspath(path)
    wanted = os.path.join(glob.escape(text), f"*{_SUFFIX}") if os.path.isdir(text) else text
    folder = Path(wanted).parent
    for ready in folder.glob(f"*{READY}") if folder.is_dir() else ():
        name = ready.name.removesuffix(READY)
        if is_pattern(name):
            with set_locked(Pattern.of(folder / name), now):
                pass
    return [Path(each) for each in sorted(glob.glob(wanted)) if os.path.isfile(each)]


def _is_glob(path: str | os.PathLike[str]) -> bool:
    return glob.has_magic(os.fspath(path)) and not os.path.exists(path)


def _shard_of(client: StoreClient) -> Shard:
    try:
        rows = client.sql(READ_SHARD).fetchall()
    except QueryError:
        # A file of an older format has no such table.
        rows = []
    if not rows:
        raise StoreFormatError(
            f"{client.path!r} is a store by itself and no shard; give a path that only the files "
            "of one set match."
        )
    return shard_of_row(*rows[0])


def _require_set(
    path: str | os.PathLike[str], found: Mapping[str, Shard], shards: int | None
) -> None:
    (first, of_first), *others = found.items()
    known: dict[ShardNumber, str] = {of_first.number: first}
    for other, shard in others:
        if shard.shard_set != of_first.shard_set or shard.number.shards != of_first.number.shards:
            raise StoreFormatError(
                f"{first!r} (shard {of_first.number}) and {other!r} (shard {shard.number}) are of "
                "different sets; give a path that only the files of one set match."
            )
        if shard.number in known:
            raise StoreFormatError(
                f"{known[shard.number]!r} and {other!r} are both shard {shard.number}; move the "
                "copy away."
            )
        known[shard.number] = other
    count = of_first.number.shards
    missing = [str(n) for n in range(1, count + 1) if ShardNumber(n, count) not in known]
    if missing:
        raise StoreFormatError(
            f"The set {os.fspath(path)!r} has {count} shards, and the files of these are missing: "
            f"{', '.join(missing)}. Put them back."
        )
    if shards is not None and shards != count:
        raise StoreFormatError(
            f"The set {os.fspath(path)!r} has {count} shards, not {shards}; the number is fixed at "
            "creation. Rewrite the set with 'batchflow reshard'."
        )

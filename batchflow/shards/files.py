"""Finding the files of a set, and checking that they are one."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from batchflow.access import StoreClient, connect, open_once
from batchflow.credentials import without_credentials
from batchflow.errors import InvalidOptionError, QueryError, StoreFormatError
from batchflow.operation.options import path_text, require_text
from batchflow.shards.pattern import PLACEHOLDER, Pattern, is_pattern
from batchflow.shards.placing import finish_placing, set_locked
from batchflow.store.schema.shard import READ_SHARD, READY, Shard, ShardNumber, shard_of_row

_SUFFIX: Final = ".duckdb"


def is_set(path: str | os.PathLike[str]) -> bool:
    """Return whether a path stands for several stores: a pattern, a folder, or a glob of files."""
    return is_pattern(path) or _is_glob(path) or os.path.isdir(path)


@dataclass(frozen=True)
class SetAddress:
    """The place of the shards of a set, as the caller gave it.

    Attributes:
        given: A path with ``{shard}``, a glob or a folder; or the path or address of each shard.
        token: The token that engines on a network demand.
        certificate: The file with the certificates that theirs are checked against.
    """

    given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    token: str | None = None
    certificate: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        several = isinstance(self.given, Sequence) and not isinstance(self.given, str | bytes)
        paths: Iterable[object] = cast("Iterable[object]", self.given) if several else [self.given]
        for path in paths:
            path_text(path, "path", "the pattern, glob or folder of a set, or a list of its paths")
        if self.token is not None:
            require_text(self.token, "token")
        if self.certificate is not None:
            path_text(self.certificate, "certificate", "the path of a file")

    @property
    def path(self) -> str | None:
        """The pattern, glob or folder; None where each shard is given."""
        return os.fspath(self.given) if isinstance(self.given, str | os.PathLike) else None

    def __str__(self) -> str:
        if isinstance(self.given, str | os.PathLike):
            return os.fspath(self.given)
        return ", ".join(without_credentials(os.fspath(each)) for each in self.given)


def clients_of(address: SetAddress, shards: int | None = None) -> list[StoreClient]:
    """Return a client of each shard of a set, in the order of their numbers.

    Args:
        address: Where they are.
        shards: How many there have to be; None for any number.

    Raises:
        StoreFormatError: There are none, some are missing, or they are no set.
        StoreHeldError: Another process has one of them open and doesn't listen.
    """
    given = address.given
    every = _paths(given) if isinstance(given, str | os.PathLike) else given
    found: dict[StoreClient, Shard] = {}
    for each in every:
        with open_once(each):
            client = connect(each, token=address.token, certificate=address.certificate)
            found[client] = _shard_of(client)
    if not found:
        raise StoreFormatError(
            f"There are no shards at {str(address)!r}. Give their pattern, like "
            '"night-{shard}.duckdb", a glob or their folder; shards= creates a new set.'
        )
    _require_set(str(address), {client.path: shard for client, shard in found.items()}, shards)
    return sorted(found, key=lambda client: found[client].number.shard)


def pattern_of(address: SetAddress, clients: list[StoreClient]) -> Pattern:
    """Return the pattern of a set's files.

    Raises:
        InvalidOptionError: Their names have no common pattern.
    """
    if address.path is not None and is_pattern(address.path):
        return Pattern.of(address.path)
    first = clients[0].path
    shard = _shard_of(clients[0])
    pattern = Pattern(os.path.join(os.path.dirname(first), shard.pattern))
    if [str(pattern.path(number)) for number in range(1, len(clients) + 1)] != [
        client.path for client in clients
    ]:
        raise InvalidOptionError(
            f"The files at {str(address)!r} have no common name but for their number; give the "
            f"path with {PLACEHOLDER} in its place.",
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
    # A new store may have brackets in its name.
    text = os.fspath(path)
    return glob.has_magic(text) and not os.path.exists(text) and bool(glob.glob(text))


def shard_of_store(client: StoreClient) -> Shard | None:
    """Return which shard a store is; None if it is a store by itself."""
    try:
        rows = client.sql(READ_SHARD).fetchall()
    except QueryError:
        # A file of an older format has no such table.
        rows = []
    return shard_of_row(*rows[0]) if rows else None


def _shard_of(client: StoreClient) -> Shard:
    found = shard_of_store(client)
    if found is None:
        raise StoreFormatError(
            f"{client.path!r} is a store by itself and no shard; give a path that only the files "
            "of one set match."
        )
    return found


def _require_set(path: str, found: Mapping[str, Shard], shards: int | None) -> None:
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
            f"The set {path!r} has {count} shards, and the files of these are missing: "
            f"{', '.join(missing)}. Put them back."
        )
    if shards is not None and shards != count:
        raise StoreFormatError(
            f"The set {path!r} has {count} shards, not {shards}; the number is fixed at "
            "creation. Rewrite the set with 'batchflow reshard'."
        )

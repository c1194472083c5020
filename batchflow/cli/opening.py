"""Opening the store that a command names, or all shards of a set."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from batchflow.errors import InvalidOptionError

if TYPE_CHECKING:
    from batchflow.access import StoreClient
    from batchflow.shards import Stores

    OpenedStore: TypeAlias = StoreClient | Stores


def opened_store(path: Path) -> OpenedStore:
    """Return a client of a store, or of all shards of a set."""
    if is_one_file(path):
        from batchflow.access import connect

        return connect(path)
    from batchflow.shards import Stores

    return Stores(path)


@contextmanager
def asked_store(path: Path) -> Iterator[OpenedStore]:
    """Yield the same for a command that only asks: a file is opened once for all its queries."""
    with ExitStack() as stack:
        from batchflow.access import StoreClient, open_once

        if is_one_file(path):
            stack.enter_context(open_once(path))
        store = opened_store(path)
        if not isinstance(store, StoreClient):
            for client in store.clients:
                stack.enter_context(open_once(client.path))
        yield store


def is_one_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of one store, also of one that doesn't exist."""
    if os.path.isfile(path):
        return True
    # Imported here, as it takes as long as DuckDB.
    from batchflow.shards.files import is_set

    return not is_set(path)


def question(name: str, **given: Any) -> Callable[..., Any]:
    """Return a function that asks a client the question of this name."""

    def ask(store: OpenedStore, **options: Any) -> Any:
        return getattr(store, name)(**given, **options)

    return ask


class StoreType(click.Path):
    """An existing store; or a pattern, a glob or a folder of shards."""

    name = "store"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path; whether the files are a set is found when they are opened."""
        if is_one_file(value):
            return super().convert(value, param, ctx)
        text = os.fspath(value)
        if not os.path.isdir(text) and not glob.glob(text.replace("{shard}", "[0-9]*")):
            self.fail(f"No file matches {text!r}.", param, ctx)
        return Path(text)


class OneStoreType(StoreType):
    """The file of an existing store, which may be one shard, but not a whole set."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path."""
        if not is_one_file(value):
            self.fail(
                f"{os.fspath(value)!r} stands for the shards of a set, and this command takes one "
                "store. Give the file of each shard in turn, like night-1.duckdb.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def require_shard(context: click.Context, option: click.Parameter, shard: str | None) -> str | None:
    """Raise BadParameter unless a shard is given like 3/8, or not at all."""
    if shard is None:
        return None
    # Imported here, as it takes as long as DuckDB.
    from batchflow.store.schema.shard import MOST_SHARDS, ShardNumber

    try:
        ShardNumber.of(shard)
    except InvalidOptionError:
        raise click.BadParameter(
            f"{shard!r} is no shard. Give its number from 1 on and how many there are, at most "
            f"{MOST_SHARDS:,}, like 3/8.",
            context,
            option,
        ) from None
    return shard

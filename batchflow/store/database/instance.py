"""One instance of DuckDB: how it is opened, and how queries are kept from other files."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import duckdb

from batchflow.errors import InvalidOptionError

Cursor = duckdb.DuckDBPyConnection
MEMORY = ":memory:"
DEFAULT_MEMORY_LIMIT: Final = "512MB"
# The name of a store's catalog in DuckDB, and of the one that every instance begins with.
CATALOG = "store"
MEMORY_CATALOG: Final = "memory"
_CLOSE_SECONDS: Final = 0.5
_CLOSE_STEP_SECONDS: Final = 0.002

NO_EXTENSIONS: Final[Mapping[str, str]] = {
    "arrow_lossless_conversion": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a database is opened.

    Attributes:
        schemas: The names of the schemas that will be created in it.
        memory_limit: The memory that DuckDB may use, like "4GB"; None for DuckDB's default.
        read_only: Whether nothing is changed, including the log of a crash.
        spill_folder: The folder for what does not fit in memory; None for a store in memory only.
    """

    schemas: frozenset[str] = frozenset()
    memory_limit: str | None = None
    read_only: bool = False
    spill_folder: str | None = None


def connect(
    path: str, settings: Settings, *, first: Callable[[Cursor], None] | None = None
) -> Cursor:
    """Open a DuckDB file, or ``":memory:"``, with the settings of all cursors.

    From then on, no query can access another file, or undo that.

    Args:
        path: The file, which DuckDB creates if there is none.
        settings: How it is opened.
        first: Called with the instance before the file is opened in it, such as to create the
            file: an instance takes DuckDB as long as everything else here, so one is enough.

    Raises:
        InvalidOptionError: The memory limit is not an amount of memory.
    """
    root = open_instance(settings)
    try:
        if first is not None:
            first(root)
        _attach(root, path, settings)
        root.execute("SET GLOBAL enable_external_access = false")
    except duckdb.OutOfMemoryException:
        root.close()
        raise _unusable(settings) from None
    except BaseException:
        root.close()
        raise
    return root


def open_instance(settings: Settings) -> Cursor:
    """Open an instance without a file, which may attach and write any; close it after that.

    Raises:
        InvalidOptionError: The memory limit is not an amount of memory.
    """
    root = _instance(settings)
    try:
        in_utc(root)
        # By default the limit is 90% of the disk space that is free at first use, and stays there
        # when space is freed later.
        root.execute("SET GLOBAL max_temp_directory_size = '1000TB'")
        root.execute("PRAGMA disable_checkpoint_on_shutdown")
    except BaseException:
        root.close()
        raise
    return root


def free_catalog(name: str, schemas: Container[str]) -> str:
    """Return a name for a catalog, like this one, that none of the schemas has."""
    while name in schemas:
        name += "_"
    return name


def attach(root: Cursor, path: str, catalog: str, *, read_only: bool = False) -> None:
    """Open a DuckDB file in an instance, under the name of a catalog."""
    file = "'" + path.replace("'", "''") + "'"
    mode = ", READ_ONLY" if read_only else ""
    root.execute(f"ATTACH {file} AS {catalog} (TYPE duckdb{mode})")


def close(cursor: Cursor) -> None:
    """Close a cursor, from any thread, once no other thread's call uses it any more.

    DuckDB refuses to close it before. If a call takes longer than this waits, the cursor is closed
    with the last reference to it.
    """
    deadline = time.monotonic() + _CLOSE_SECONDS
    while True:
        try:
            cursor.close()
            return
        except duckdb.ResourceInUseException:
            if time.monotonic() >= deadline:
                return
            time.sleep(_CLOSE_STEP_SECONDS)


def interrupt(cursor: Cursor) -> None:
    """Interrupt what a cursor executes, from any thread.

    A cursor that is closed, maybe at this moment, executes nothing.
    """
    with suppress(duckdb.Error):
        cursor.interrupt()


def in_memory() -> Cursor:
    """Open an instance without a file, for results; it can't access files either."""
    instance = duckdb.connect(
        MEMORY, config={**NO_EXTENSIONS, "python_enable_replacements": "false"}
    )
    in_utc(instance)
    instance.execute("SET GLOBAL enable_external_access = false")
    return instance


def in_utc(instance: Cursor) -> None:
    """Make UTC the time zone of all cursors of an instance."""
    instance.execute("SET GLOBAL TimeZone = 'UTC'")
    instance.execute("SET TimeZone = 'UTC'")


def _instance(settings: Settings) -> Cursor:
    config: dict[str, str | bool | int | float | list[str]] = {
        **NO_EXTENSIONS,
        # DuckDB must not checkpoint automatically; see checkpoint.py.
        "checkpoint_threshold": "1000TB",
        "python_enable_replacements": "false",
        "temp_directory": settings.spill_folder or "",
    }
    if settings.memory_limit is not None:
        config["memory_limit"] = settings.memory_limit
    try:
        return duckdb.connect(MEMORY, config=config)
    except (duckdb.ParserException, duckdb.InvalidInputException, duckdb.OutOfMemoryException):
        raise _unusable(settings) from None


def _unusable(settings: Settings) -> InvalidOptionError:
    return InvalidOptionError(
        f"memory_limit is {settings.memory_limit!r}, which is not an amount of memory that DuckDB "
        'can use; give one like "512MB" or "4GB".',
        option="memory_limit",
    )


def _attach(root: Cursor, path: str, settings: Settings) -> None:
    # If the file "orders.duckdb" were opened directly, its catalog would be "orders", which DuckDB
    # can't distinguish from the schema of a workflow "orders". So it is attached under a name that
    # no schema has.
    catalog = CATALOG
    while True:
        attach(root, path, catalog, read_only=settings.read_only)
        if catalog not in _schemas(root, catalog) | settings.schemas:
            break
        root.execute(f"DETACH {catalog}")
        catalog += "_"
    root.execute(f"USE {catalog}.main")
    root.execute(f"DETACH {MEMORY_CATALOG}")


def _schemas(root: Cursor, catalog: str) -> frozenset[str]:
    query = "SELECT lower(schema_name) FROM duckdb_schemas() WHERE database_name = ?"
    return frozenset(name for (name,) in root.execute(query, [catalog]).fetchall())

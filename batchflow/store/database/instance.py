"""One instance of DuckDB: how it is opened, and what no query can make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from batchflow.errors import DefinitionError

Cursor = duckdb.DuckDBPyConnection
MEMORY = ":memory:"
# The name of a store within DuckDB.
CATALOG = "store"

NO_EXTENSIONS: Final[Mapping[str, str]] = {
    "arrow_lossless_conversion": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Say how a database is opened.

    Attributes:
        schemas: those that will be made in it.
        memory_limit: the most memory that DuckDB may take, like "4GB".
        read_only: whether nothing is to be changed, the log of a crash included.
        spill_folder: where what doesn't fit in memory goes; not where the process was started.
    """

    schemas: frozenset[str] = frozenset()
    memory_limit: str | None = None
    read_only: bool = False
    spill_folder: str | None = None


def connect(path: str, settings: Settings) -> Cursor:
    """Open a DuckDB file, or ``":memory:"``, with the settings that every cursor has.

    No query can reach another file from then on, nor take that back.

    Raises:
        DefinitionError: the memory limit is no amount of memory.
    """
    root = _instance(settings)
    try:
        in_utc(root)
        # By default DuckDB takes 90% of what the disk has left when it first looks, and keeps to
        # that after room was made.
        root.execute("SET GLOBAL max_temp_directory_size = '1000TB'")
        root.execute("PRAGMA disable_checkpoint_on_shutdown")
        _attach(root, path, settings)
        root.execute("SET GLOBAL enable_external_access = false")
    except duckdb.OutOfMemoryException:
        root.close()
        raise _unusable(settings) from None
    except BaseException:
        root.close()
        raise
    return root


def in_memory() -> Cursor:
    """Open an instance without any file, for results to be in; it reaches no file either."""
    instance = duckdb.connect(
        MEMORY, config={**NO_EXTENSIONS, "python_enable_replacements": "false"}
    )
    in_utc(instance)
    instance.execute("SET GLOBAL enable_external_access = false")
    return instance


def in_utc(instance: Cursor) -> None:
    """Have all cursors of an instance read times without a zone as those of UTC."""
    instance.execute("SET GLOBAL TimeZone = 'UTC'")
    instance.execute("SET TimeZone = 'UTC'")


def _instance(settings: Settings) -> Cursor:
    config: dict[str, str | bool | int | float | list[str]] = {
        **NO_EXTENSIONS,
        # Never by itself: see checkpoint.py.
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


def _unusable(settings: Settings) -> DefinitionError:
    return DefinitionError(
        f"memory_limit is {settings.memory_limit!r}, which is no amount of memory that DuckDB can "
        'work with; give one like "512MB" or "4GB"'
    )


def _attach(root: Cursor, path: str, settings: Settings) -> None:
    # Opened directly, the catalog would be named as the file, and with "orders.duckdb" DuckDB
    # couldn't tell that from the schema of a workflow "orders"; so its name must be no schema's.
    file = "'" + path.replace("'", "''") + "'"
    mode = ", READ_ONLY" if settings.read_only else ""
    catalog = CATALOG
    while True:
        root.execute(f"ATTACH {file} AS {catalog} (TYPE duckdb{mode})")
        if catalog not in _schemas(root, catalog) | settings.schemas:
            break
        root.execute(f"DETACH {catalog}")
        catalog += "_"
    root.execute(f"USE {catalog}.main")
    root.execute("DETACH memory")


def _schemas(root: Cursor, catalog: str) -> frozenset[str]:
    query = "SELECT lower(schema_name) FROM duckdb_schemas() WHERE database_name = ?"
    return frozenset(name for (name,) in root.execute(query, [catalog]).fetchall())

"""One question to all workflows of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from batchflow.store.reader import StoreReader


def across(
    reader: StoreReader,
    ask: Callable[[StoreReader, str], duckdb.DuckDBPyRelation],
    workflow: str | None,
) -> list[duckdb.DuckDBPyRelation]:
    """Ask about each workflow, or the one that is named; the column ``workflow`` comes first."""
    from batchflow.store.layout import literal

    names = reader.workflows if workflow is None else (workflow,)
    return [ask(reader, name).select(f"{literal(name)} AS workflow, *") for name in names]

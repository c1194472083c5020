"""The graphs of workflows as a notebook shows them, with how many runs are at each status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.errors import BatchflowError, StoreError
from batchflow.picture import Counts, escaped, picture_of
from batchflow.store.query.analysis import status_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchflow.store.query.catalog import Catalog
    from batchflow.store.query.source import Source


def pictures(path: str, workflows: Iterable[str], source: Source, catalog: Catalog) -> str:
    """Return the graphs as HTML; without numbers, and why, where runs can't be counted."""
    figures = "".join(_figure(name, source, catalog) for name in workflows)
    return f"<div><p>{escaped(path)}</p>{figures}</div>"


def _figure(name: str, source: Source, catalog: Catalog) -> str:
    heading = f"<figcaption><b>{escaped(name)}</b></figcaption>"
    counts, note = None, ""
    try:
        counts = _counts(name, source, catalog)
    except StoreError as error:
        note = f"<p>The runs weren't counted: {escaped(str(error))}</p>"
    try:
        graph = picture_of(catalog.definition(name), counts).svg()
    except BatchflowError as error:
        graph = f"<p>{escaped(str(error))}</p>"
    return f'<figure style="margin:0 0 1em 0;overflow-x:auto">{heading}{note}{graph}</figure>'


def _counts(name: str, source: Source, catalog: Catalog) -> Counts:
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    rows = status_counts(source, catalog.tables(name)[name]).fetchall()
    for status, run_state, runs, failing in rows:
        counts.setdefault(status, {})[run_state] = (runs, failing)
    return counts

"""What a notebook shows of an engine: its workflows' graphs, with where the runs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.errors import StoreError
from batchflow.picture import Counts, escaped, picture_of
from batchflow.store.query.analysis import standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchflow.definition import AnyWorkflow
    from batchflow.store import Store


def shown(store: Store, workflows: Iterable[AnyWorkflow]) -> str:
    """Return the graphs as HTML; without numbers, and why, where the store can't be asked."""
    drawn = "".join(_figure(store, workflow) for workflow in workflows)
    return f"<div><p>{escaped(store.path)}</p>{drawn}</div>"


def _figure(store: Store, workflow: AnyWorkflow) -> str:
    counts, told = None, ""
    try:
        counts = _counts(store, workflow)
    except StoreError as error:
        told = f"<p>The runs weren't counted: {escaped(str(error))}</p>"
    return (
        '<figure style="margin:0 0 1em 0;overflow-x:auto">'
        f"<figcaption><b>{escaped(workflow.name)}</b></figcaption>"
        f"{told}{picture_of(workflow, counts).svg()}</figure>"
    )


def _counts(store: Store, workflow: AnyWorkflow) -> Counts:
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    rows = standing(store.source, store.tables(workflow)).fetchall()
    for status, run_state, runs, failing in rows:
        counts.setdefault(status, {})[run_state] = (runs, failing)
    return counts

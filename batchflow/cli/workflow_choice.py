"""Which workflows of a store a command speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchflow.access import StoreClient
    from batchflow.store import Relation


def query_each_workflow(
    store: StoreClient,
    ask: Callable[..., Relation],
    workflow: str | None,
) -> list[Relation]:
    """Ask about each workflow, or the one that is named; the column ``workflow`` comes first."""
    from batchflow.store.schema.layout import literal

    names = store.workflows if workflow is None else (workflow,)
    return [ask(store, workflow=name).select(f"{literal(name)} AS workflow", "*") for name in names]


def choose_workflow(store: StoreClient, workflow: str | None) -> str:
    """Answer the workflow that is named, or the only one there is."""
    if workflow is not None:
        return workflow
    if len(store.workflows) != 1:
        there = ", ".join(store.workflows) or "none yet"
        raise click.UsageError(f"Say with --workflow which one is meant; the store has: {there}.")
    return store.workflows[0]

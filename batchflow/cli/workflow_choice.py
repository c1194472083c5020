"""The workflows of a store that a command is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchflow.cli.opening import OpenedStore
    from batchflow.store import Relation


def query_each_workflow(
    store: OpenedStore,
    query: Callable[..., Relation],
    workflow: str | None,
) -> list[Relation]:
    """Query each workflow, or the named one; the results begin with a column ``workflow``."""
    from batchflow.store.schema.layout import literal

    names = store.workflows if workflow is None else (workflow,)
    return [
        query(store, workflow=name).select(f"{literal(name)} AS workflow", "*") for name in names
    ]


def choose_workflow(store: OpenedStore, workflow: str | None) -> str:
    """Return the named workflow, or the store's only one.

    Raises:
        click.UsageError: The store doesn't have exactly one workflow, and none is named.
    """
    if workflow is not None:
        return workflow
    if len(store.workflows) != 1:
        names = ", ".join(store.workflows) or "none"
        raise click.UsageError(f"Choose a workflow with --workflow. The store has: {names}.")
    return store.workflows[0]

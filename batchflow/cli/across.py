"""One question to all workflows of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchflow.remote import StoreClient
    from batchflow.store import Relation


def across(
    store: StoreClient,
    ask: Callable[..., Relation],
    workflow: str | None,
) -> list[Relation]:
    """Ask about each workflow, or the one that is named; the column ``workflow`` comes first."""
    from batchflow.store.layout import literal

    names = store.workflows if workflow is None else (workflow,)
    return [ask(store, workflow=name).select(f"{literal(name)} AS workflow", "*") for name in names]

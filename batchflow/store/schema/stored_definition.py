"""The descriptions of its workflows that a store keeps."""

from __future__ import annotations

import json
from functools import lru_cache

from batchflow.definition.description import RestoredWorkflow, describe, restore
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import BatchflowError, StoreFormatError
from batchflow.store.database.file_format import stored_format
from batchflow.store.database.instance import Cursor

_FIRST_FORMAT = 2


def store_definition(cursor: Cursor, workflow: AnyWorkflow) -> None:
    """Store the description of a workflow if it changed, within the caller's transaction."""
    cursor.execute(
        "UPDATE batchflow.workflows SET definition = $definition "
        "WHERE name = $name AND definition IS DISTINCT FROM $definition",
        {"name": workflow.name, "definition": json.dumps(describe(workflow))},
    )


def stored_workflows(cursor: Cursor) -> dict[str, RestoredWorkflow | None]:
    """Return every workflow of the store by name, without the code of its steps.

    It is None where no engine has opened the workflow since the file had an older format.

    Raises:
        StoreFormatError: A description was changed by something other than batchflow.
    """
    column = "definition" if stored_format(cursor) >= _FIRST_FORMAT else "NULL"
    query = f"SELECT name, {column} FROM batchflow.workflows ORDER BY name"
    rows = cursor.execute(query).fetchall()
    return {name: None if text is None else restored(name, text) for name, text in rows}


@lru_cache(maxsize=256)
def restored(name: str, text: str) -> RestoredWorkflow:
    """Return the workflow that a stored definition describes; the same one for the same text.

    Raises:
        StoreFormatError: It was changed by something other than batchflow.
    """
    try:
        return restore(json.loads(text))
    except (LookupError, TypeError, ValueError, AttributeError, BatchflowError) as error:
        raise StoreFormatError(
            f"The store's description of workflow {name!r} can't be read: {error!r}. Open the "
            "store with an engine that has the workflow, which describes it again."
        ) from error

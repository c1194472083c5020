"""A small workflow, a store with it, and the queries of the tests of loading."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from emptying import empty

from batchflow.definition.workflow import Workflow
from batchflow.errors import BatchflowError
from batchflow.operation import LoadReport
from batchflow.operation.requests import TriggerMany
from batchflow.store import RunsAdded
from batchflow.store.loading.load import load
from batchflow.store.loading.trigger import SingleTrigger
from batchflow.store.schema.layout import Layout
from batchflow.store.store import Store

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


class Stage(enum.Enum):
    CREATED = "created"
    PAID = "paid"
    DONE = "done"


@dataclass
class Item:
    name: str
    price: float
    count: int = 1
    note: str | None = None


def workflow_of(object_type: type[Any], name: str = "items") -> Workflow[Any, Any]:
    workflow: Workflow[Any, Any] = Workflow(name, object_type, Stage)
    workflow.add_step(Stage.CREATED, lambda run: Stage.PAID, Stage.PAID)
    workflow.add_step(Stage.PAID, lambda run: Stage.DONE, Stage.DONE)
    return workflow


class Loader:
    """Load runs of one workflow into one store, and read them."""

    def __init__(self, store: Store, workflow: Workflow[Any, Any]) -> None:
        self.store = store
        self.connection = store.connection
        self.layout: Layout = store.tables(workflow)
        self.trigger_one = SingleTrigger(self.connection, self.layout)

    def load(self, source: Any, **options: Any) -> LoadReport:
        options.setdefault("foreign_id", "name")
        return load(self.connection, self.layout, TriggerMany(source=source, **options), NOW)

    def trigger(self, foreign_id: str, given: Any, at: Any = None) -> RunsAdded:
        return self.trigger_one(foreign_id, given, at, NOW)

    def query(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.arrow(sql).to_pylist()
        return rows

    def arrow(self, sql: str) -> pa.Table:
        return self.connection.reader().sql(sql).to_arrow_table()

    def column(self, name: str, where: str = "true") -> list[Any]:
        query = f"SELECT {name} AS value FROM {self.layout.runs} WHERE {where} ORDER BY seq"
        return [row["value"] for row in self.query(query)]

    def empty(self) -> None:
        """Leave the store as it was when it was new."""
        empty(self.connection)
        # It knows foreign ids of the runs that are gone.
        self.trigger_one = SingleTrigger(self.connection, self.layout)

    def finish(self, where: str) -> None:
        with self.connection.write() as cursor:
            cursor.execute(f"UPDATE {self.layout.runs} SET run_state = 'COMPLETED' WHERE {where}")


_KEPT: dict[type[Any], Loader] = {}


@contextmanager
def opened(
    object_type: type[Any] = Item, path: Path | str = ":memory:", memory_limit: str | None = None
) -> Iterator[Loader]:
    """Open a new store, or the one in memory that was used last, empty.

    To create one takes longer than most loads.
    """
    keeps = path == ":memory:" and memory_limit is None
    loader = _KEPT.pop(object_type, None) if keeps else None
    if loader is None:
        workflow = workflow_of(object_type)
        store = Store.open(path, [workflow], clock=lambda: NOW, memory_limit=memory_limit)
        loader = Loader(store, workflow)
    refused: BatchflowError | None = None
    try:
        try:
            yield loader
        except BatchflowError as error:
            # A load that is refused leaves the store as it was.
            refused = error
        if keeps:
            loader.empty()
    except BaseException:
        loader.store.close()
        raise
    if keeps:
        close_kept()
        _KEPT[object_type] = loader
    else:
        loader.store.close()
    if refused is not None:
        raise refused


def close_kept() -> None:
    """Close the store that is kept."""
    while _KEPT:
        _KEPT.popitem()[1].store.close()

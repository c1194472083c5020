"""Writing the runs of several stores, and all that belongs to them, into other stores.

The files are attached to one instance of DuckDB, and each new file takes its part of each table. A
run keeps its seq, and so its run id; its log, errors and loads go with it. The rows that belong to
no run, such as the log of operations, go to one new file each, so that sums stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from batchflow.errors import StoreError, StoreFormatError
from batchflow.store.database.instance import (
    MEMORY,
    NO_EXTENSIONS,
    Cursor,
    attach,
    in_utc,
)
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.spill import SpillFolder
from batchflow.store.database.store_error import clause_of, store_error_of
from batchflow.store.schema.layout import SLOT_BITS, Layout, literal, quote
from batchflow.store.schema.shard import Shard, most_slots, sql_shard_of_hash
from batchflow.store.schema.stored_definition import restored
from batchflow.store.store import Store

_NEW: Final = "batchflow_new"
_OF_RUNS: Final = ("transitions_without_reason", "transitions_with_reason", "errors")
_COUNTED: Final = ("runs", *_OF_RUNS)


@dataclass(frozen=True)
class _Old:
    """One of the stores that are read.

    Attributes:
        place: Its place among them, from 0.
        path: Its file.
    """

    place: int
    path: Path

    @property
    def catalog(self) -> str:
        return f"batchflow_old_{self.place}"


@dataclass(frozen=True)
class _Workflow:
    """A workflow as the old stores have it.

    Attributes:
        layout: Its tables in a new store.
        order: The columns of ``runs``.
        definition: Its description.
        olds: The old stores that have it.
    """

    layout: Layout
    order: tuple[str, ...]
    definition: str
    olds: tuple[_Old, ...]


@contextmanager
def closed_stores(paths: Sequence[Path], clock: Callable[[], datetime]) -> Iterator[None]:
    """Bring stores to the current format, without a log, and keep all others from opening them.

    Raises:
        StoreHeldError: Another process has one open.
    """
    with ExitStack() as held:
        for path in paths:
            Store.open_as_stored(path, clock=clock).close()
        for path in paths:
            held.callback(StoreLock.acquire(path, clock()).release)
        yield


def next_slot(paths: Sequence[Path]) -> int:
    """Return the first slot that no run of these stores, which are closed, has.

    Raises:
        StoreError: All slots are used.
    """
    with _reading(paths) as (root, olds):
        queries = (
            f"SELECT slot FROM {old.catalog}.batchflow.shard UNION ALL "
            f"SELECT next_seq >> {SLOT_BITS} FROM {old.catalog}.batchflow.workflows"
            for old in olds
        )
        [(last,)] = root.execute(
            f"SELECT max(slot) FROM ({' UNION ALL '.join(queries)})"
        ).fetchall()
        return 0 if last is None else int(last) + 1


def write_shards(
    paths: Sequence[Path], made: Sequence[tuple[Path, Shard]], clock: Callable[[], datetime]
) -> None:
    """Write the runs of stores that are closed into new ones.

    Args:
        paths: The stores; they are only read.
        made: The new files, with which shard each is.
        clock: Returns the present time.

    Raises:
        StoreFormatError: The stores differ in a workflow, or some have loaded a file that others
            haven't, or an export was interrupted.
        StoreError: The new stores can't be written.
    """
    if made[-1][1].slot >= most_slots():
        raise StoreError(
            "The set was rewritten so often that no numbers are left for new runs; load the runs "
            "into a new set."
        )
    Store.create_shards(dict(made), clock=clock)
    with _reading(paths) as (root, olds):
        workflows = _workflows(root, olds)
        _require_same_loads(root, olds)
        _require_ended_exports(root, olds)
        try:
            for path, shard in made:
                attach(root, str(path), _NEW)
                root.execute(f"USE {_NEW}.main")
                root.execute("BEGIN")
                _Writing(root, olds, workflows, shard).write()
                root.execute("COMMIT")
                root.execute("CHECKPOINT")
                root.execute("USE memory.main")
                root.execute(f"DETACH {_NEW}")
        except duckdb.Error as error:
            raise store_error_of(error) or StoreError(
                f"The new stores can't be written: {clause_of(error)}. The old ones are as they "
                "were."
            ) from error
        _require_all_rows(root, workflows, [path for path, _ in made])


@contextmanager
def _reading(paths: Sequence[Path]) -> Iterator[tuple[Cursor, list[_Old]]]:
    spill = SpillFolder.temporary()
    root = duckdb.connect(MEMORY, config={**NO_EXTENSIONS, "temp_directory": str(spill.path)})
    try:
        in_utc(root)
        olds = [_Old(place, path) for place, path in enumerate(paths)]
        for old in olds:
            attach(root, str(old.path), old.catalog, read_only=True)
        yield root, olds
    finally:
        root.close()
        spill.remove()


def _workflows(root: Cursor, olds: Sequence[_Old]) -> list[_Workflow]:
    found: dict[str, _Workflow] = {}
    for old in olds:
        query = (
            f"SELECT name, run_id_base, definition FROM {old.catalog}.batchflow.workflows "
            "ORDER BY name"
        )
        for name, base, definition in root.execute(query).fetchall():
            workflow = _read(root, old, name, int(base), definition)
            known = found.setdefault(name, workflow)
            if known is not workflow:
                if (known.layout.run_id_base, known.definition, sorted(known.order)) != (
                    workflow.layout.run_id_base,
                    definition,
                    sorted(workflow.order),
                ):
                    raise _differs(name, known.olds[0], old)
                found[name] = _Workflow(
                    known.layout, known.order, known.definition, (*known.olds, old)
                )
    return list(found.values())


def _read(root: Cursor, old: _Old, name: str, base: int, definition: str | None) -> _Workflow:
    if definition is None:
        raise StoreFormatError(
            f"The store {str(old.path)!r} doesn't have the definition of workflow {name!r}, as an "
            "older batchflow wrote it; open the store once with Engine(path, workflow)."
        )
    table = f"{old.catalog}.{quote(name)}.runs"
    [(statuses,)] = root.execute(
        f"SELECT enum_range((SELECT any_value(status) FROM {table} WHERE false))::VARCHAR[]"
    ).fetchall()
    columns = root.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? "
        "AND table_name = 'runs' ORDER BY column_index",
        [old.catalog, name],
    ).fetchall()
    layout = Layout(restored(name, definition), base, tuple(statuses))
    return _Workflow(layout, tuple(column for (column,) in columns), definition, (old,))


def _differs(name: str, first: _Old, other: _Old) -> StoreFormatError:
    return StoreFormatError(
        f"The stores {str(first.path)!r} and {str(other.path)!r} have different versions of "
        f"workflow {name!r}; open each once with the same code, like batchflow run FILE.py:{name}."
    )


def _require_same_loads(root: Cursor, olds: Sequence[_Old]) -> None:
    """Refuse if a file was loaded into some of the stores only, as its other rows would be lost."""
    queries = (
        f"SELECT DISTINCT workflow, path, sha256, {literal(str(old.path))} AS store "
        f"FROM {old.catalog}.batchflow.loads WHERE sha256 IS NOT NULL"
        for old in olds
    )
    partly = root.execute(
        "SELECT any_value(path), list(store) FROM (" + " UNION ALL ".join(queries) + ") "
        f"GROUP BY workflow, sha256 HAVING count(DISTINCT store) < {len(olds)} LIMIT 1"
    ).fetchall()
    for path, stores in partly:
        missing = [str(old.path) for old in olds if str(old.path) not in stores]
        raise StoreFormatError(
            f"The file {path!r} was loaded into some shards, and not into {', '.join(missing)}. "
            "Load it there first, with the command that loaded it."
        )


def _require_ended_exports(root: Cursor, olds: Sequence[_Old]) -> None:
    """Refuse if a hand-over was interrupted, as its part has runs of several new stores."""
    for old in olds:
        found = root.execute(
            f"SELECT name, destination FROM {old.catalog}.batchflow.exports WHERE ended_at IS NULL"
        ).fetchall()
        for name, destination in found:
            raise StoreFormatError(
                f"The export since {name!r} to {destination!r} was interrupted. Repeat it first; "
                "replace=True (--force) writes its part to another place."
            )


def _require_all_rows(root: Cursor, workflows: Sequence[_Workflow], paths: Sequence[Path]) -> None:
    """Raise StoreError unless the new stores have as many rows as the old ones."""
    root.execute("USE memory.main")
    news = [f"{_NEW}_{number}" for number in range(len(paths))]
    for catalog, path in zip(news, paths, strict=True):
        attach(root, str(path), catalog, read_only=True)
    for workflow in workflows:
        for table in _COUNTED:
            if _has(root, workflow.olds[0].catalog, workflow, table):
                before = _rows(root, [old.catalog for old in workflow.olds], workflow, table)
                after = _rows(root, news, workflow, table)
                if before != after:
                    raise StoreError(
                        f"The table {workflow.layout.name}.{table} has {before:,} rows, and the "
                        f"new stores have {after:,}; the old ones are as they were. Run "
                        "'batchflow check' on them."
                    )


def _rows(root: Cursor, catalogs: Sequence[str], workflow: _Workflow, table: str) -> int:
    counts = (
        f"SELECT count(*) AS n FROM {each}.{workflow.layout.schema}.{table}" for each in catalogs
    )
    [(rows,)] = root.execute(f"SELECT sum(n) FROM ({' UNION ALL '.join(counts)})").fetchall()
    return int(rows)


def _has(root: Cursor, catalog: str, workflow: _Workflow, table: str) -> bool:
    query = (
        "SELECT 1 FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    )
    return bool(root.execute(query, [catalog, workflow.layout.name, table]).fetchall())


class _Writing:
    """Write one new store, whose catalog is the present one."""

    def __init__(
        self, root: Cursor, olds: Sequence[_Old], workflows: Sequence[_Workflow], shard: Shard
    ) -> None:
        self._root = root
        self._olds = olds
        self._workflows = workflows
        self._shard = shard

    def write(self) -> None:
        """Write all tables."""
        for workflow in self._workflows:
            self._create(workflow)
            for old in workflow.olds:
                self._copy_runs(workflow, old)
        for table, query_of in REWRITTEN.items():
            if query_of is not None:
                for old in self._olds:
                    self._insert(table, query_of(self, old, f"{old.catalog}.batchflow.{table}"))

    def at_home(self, old: _Old, rows: str) -> str:
        """Return the rows that belong to no run, which are all in one new store."""
        return f"FROM {rows} WHERE {'true' if self._is_home_of(old) else 'false'}"

    def operations(self, old: _Old, rows: str) -> str:
        """Return the operations, by which the check of each store finds out what they changed."""
        return f"SELECT *{self._counted_once(old, 'changed', 'refused')} FROM {rows}"

    def loads(self, old: _Old, rows: str) -> str:
        """Return the files, each of which is loaded here too."""
        counts = self._counted_once(old, "rows", "inserted", "updated", "skipped", "rejected")
        return (
            f"SELECT * REPLACE ({self._id_of('load_id', old)}) FROM (SELECT *{counts} FROM {rows})"
        )

    def rejected(self, old: _Old, rows: str) -> str:
        """Return the rejected rows that this shard would have kept."""
        own = self._shard.has("foreign_id")
        return f"SELECT * REPLACE ({self._id_of('load_id', old)}) FROM {rows} WHERE {own}"

    def exports(self, old: _Old, rows: str) -> str:
        """Return the parts of all hand-overs, so that positions stay unique."""
        return f"SELECT * REPLACE ({self._id_of('export_id', old)}) FROM {rows}"

    def exported_runs(self, old: _Old, rows: str) -> str:
        """Return the runs of these parts that are in this shard."""
        source = f"{old.catalog}.batchflow"
        here = " OR ".join(
            f"seq IN (SELECT seq FROM {workflow.layout.schema}.runs) AND export_id IN (SELECT "
            f"export_id FROM {source}.exports WHERE workflow = {literal(workflow.layout.name)})"
            for workflow in self._workflows
        )
        chosen = here or "false"
        return f"SELECT * REPLACE ({self._id_of('export_id', old)}) FROM {rows} WHERE {chosen}"

    def pruned_ids(self, old: _Old, rows: str) -> str:  # noqa: ARG002 - as of the other tables
        """Return the hashes of this shard's foreign ids."""
        number = self._shard.number
        owner = sql_shard_of_hash("foreign_id_hash", number.shards)
        return f"FROM {rows} WHERE {owner} = {number.shard}"

    def causes(self, old: _Old, rows: str) -> str:  # noqa: ARG002 - as of the other tables
        """Return the causes that aren't here yet."""
        return f"FROM {rows} WHERE cause NOT IN (SELECT cause FROM batchflow.causes)"

    def _id_of(self, column: str, old: _Old) -> str:
        """Return the SQL of an id that no entry of another old store has."""
        return f"{column} * {len(self._olds)} + {old.place} AS {column}"

    def _is_home_of(self, old: _Old) -> bool:
        return old.place % self._shard.number.shards + 1 == self._shard.number.shard

    def _counted_once(self, old: _Old, *counts: str) -> str:
        """Return the SQL that makes counts zero, in all new stores but one."""
        if self._is_home_of(old):
            return ""
        return f" REPLACE ({', '.join(f'0 AS {name}' for name in counts)})"

    def _insert(self, table: str, query: str) -> None:
        self._root.execute(f"INSERT INTO batchflow.{table} BY NAME {query}").fetchall()

    def _create(self, workflow: _Workflow) -> None:
        layout = workflow.layout
        for statement in layout.create_statements(workflow.order):
            self._root.execute(statement)
        self._root.execute(
            "INSERT INTO batchflow.workflows (name, run_id_base, next_seq, definition) "
            "VALUES (?, ?::UHUGEINT, ?, ?)",
            [layout.name, str(layout.run_id_base), self._shard.first_seq, workflow.definition],
        )

    def _copy_runs(self, workflow: _Workflow, old: _Old) -> None:
        schema = workflow.layout.schema
        self._root.execute(
            f"INSERT INTO {schema}.runs BY NAME SELECT * EXCLUDE (run_id) "
            f"FROM {old.catalog}.{schema}.runs WHERE {self._shard.has('foreign_id')}"
        ).fetchall()
        for table in _OF_RUNS:
            if _has(self._root, old.catalog, workflow, table):
                self._root.execute(
                    f"INSERT INTO {schema}.{table} BY NAME SELECT * EXCLUDE (run_id) "
                    f"FROM {old.catalog}.{schema}.{table} "
                    f"WHERE seq IN (SELECT seq FROM {schema}.runs)"
                ).fetchall()


REWRITTEN: Final[Mapping[str, Callable[[_Writing, _Old, str], str] | None]] = {
    # Each new store has its own, and a new one has no prune to finish.
    "store": None,
    "shard": None,
    "pruning": None,
    # Written with the tables of each workflow.
    "workflows": None,
    "operations": _Writing.operations,
    "loads": _Writing.loads,
    "rejected": _Writing.rejected,
    "exports": _Writing.exports,
    "exported_runs": _Writing.exported_runs,
    "pruned_ids": _Writing.pruned_ids,
    "commits": _Writing.at_home,
    "chunks": _Writing.at_home,
    "slow_runs": _Writing.at_home,
    "causes": _Writing.causes,
}
"""The query for the rows of each table of the schema ``batchflow`` in a new store."""

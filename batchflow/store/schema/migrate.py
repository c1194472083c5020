"""Adapt a store's tables to its workflows in place, or refuse with a list of differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from batchflow.columns.value_writing import write_values
from batchflow.definition.fields import Field
from batchflow.errors import MigrationError
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.schema.layout import (
    AnyWorkflow,
    Column,
    Layout,
    literal,
    new_run_id_base,
    object_column,
    quote,
)
from batchflow.store.schema.shard import Shard, stored_shard
from batchflow.store.schema.stored_definition import store_definition, stored_workflows
from batchflow.store.schema.upgrade import upgrade

FILLED_ROWS = 100_000


@dataclass(frozen=True)
class Found:
    """The tables of one workflow as they are in the store.

    Attributes:
        run_id_base: The UUID, as a number, to which a run's seq is added for its run id.
        status_names: The members of the ENUM of statuses.
        columns: The columns of ``runs`` by their name in lower case, as DuckDB ignores case.
        records_transitions: Whether there are tables of transitions.
    """

    run_id_base: int
    status_names: tuple[str, ...]
    columns: dict[str, Column]
    records_transitions: bool


@dataclass(frozen=True)
class _NewTables:
    """The first values of the tables of a new workflow.

    Attributes:
        given: The base of its run ids, if it is given.
        shard: The shard that the store is, if it is one.
        whole_set: Whether all shards of its set get the same workflows.
    """

    given: int | None
    shard: Shard | None
    whole_set: bool

    def run_id_base_of(self, workflow: str) -> int:
        """Return the UUID, as a number, to which a run's seq is added for its run id."""
        if self.given is not None:
            return self.given
        return new_run_id_base() if self.shard is None else self.shard.run_id_base(workflow)

    @property
    def first_seq(self) -> int:
        """Return the seq of the first run."""
        return 0 if self.shard is None else self.shard.first_seq


def lay_out(
    cursor: Cursor,
    workflows: Sequence[AnyWorkflow],
    run_id_base: int | None = None,
    *,
    whole_set: bool = False,
) -> dict[str, Layout]:
    """Upgrade the file, and create or migrate the tables of all workflows.

    All of it happens within the caller's transaction. Each workflow's description is stored. With
    a `run_id_base`, new runs have the same ids as those of another store. Only with `whole_set`, a
    shard gets further workflows, as all shards of a set have the same ones.

    Raises:
        MigrationError: A workflow changed in a way that the store can't follow; lists every
            difference. Or it isn't one of the set's.
    """
    upgrade(cursor)
    new = _NewTables(run_id_base, stored_shard(cursor), whole_set)
    layouts = {workflow.name: _lay_out(cursor, workflow, new) for workflow in workflows}
    for workflow in workflows:
        store_definition(cursor, workflow)
    return layouts


def layouts_as_stored(cursor: Cursor) -> dict[str, Layout]:
    """Return the layouts of all workflows as the file describes them, after upgrading its format.

    A workflow that the file doesn't describe, as an older batchflow wrote it, is left out.
    """
    upgrade(cursor)
    layouts = {}
    shard = stored_shard(cursor)
    for name, workflow in stored_workflows(cursor).items():
        found = _found(cursor, name)
        if workflow is not None and found is not None:
            layouts[name] = Layout(workflow, found.run_id_base, found.status_names, shard=shard)
    return layouts


def _lay_out(cursor: Cursor, workflow: AnyWorkflow, new: _NewTables) -> Layout:
    found = _found(cursor, workflow.name)
    if found is None:
        return _create(cursor, workflow, new)
    names = _status_names(workflow, found)
    layout = Layout(workflow, found.run_id_base, names, shard=new.shard)
    _refuse_differences(cursor, layout, found)
    _migrate(cursor, layout, found)
    return layout


def _create(cursor: Cursor, workflow: AnyWorkflow, new: _NewTables) -> Layout:
    if new.shard is not None and not new.whole_set:
        raise _not_of_the_set(cursor, workflow.name, new.shard)
    _refuse_foreign_schema(cursor, workflow.name)
    base = new.run_id_base_of(workflow.name)
    layout = Layout(workflow, base, workflow.status_names, shard=new.shard)
    for statement in layout.create_statements():
        cursor.execute(statement)
    cursor.execute(
        "INSERT INTO batchflow.workflows (name, run_id_base, next_seq) VALUES (?, ?::UHUGEINT, ?)",
        [layout.name, str(base), new.first_seq],
    )
    return layout


def _not_of_the_set(cursor: Cursor, name: str, shard: Shard) -> MigrationError:
    rows = cursor.execute("SELECT name FROM batchflow.workflows ORDER BY name").fetchall()
    known = ", ".join(repr(each) for (each,) in rows) or "none"
    return MigrationError(
        f"Workflow {name!r} isn't in the set of shard {shard.number}, whose workflows are: "
        f"{known}. Give one of these, or the path of another set; or add it to all shards at once, "
        f"while no engine has one open, with bf.Stores(path, {name}), where the path is that of "
        f"{shard.pattern!r}."
    )


def _refuse_foreign_schema(cursor: Cursor, name: str) -> None:
    query = (
        "SELECT schema_name FROM duckdb_schemas() "
        "WHERE database_name = current_database() AND lower(schema_name) = lower(?)"
    )
    for (schema,) in cursor.execute(query, [name]).fetchall():
        raise MigrationError(
            f"Workflow {name!r} needs a schema of its own, but the store already has a schema "
            f"{schema!r}: rename the workflow, or use another store."
        )


def _found(cursor: Cursor, name: str) -> Found | None:
    bases = cursor.execute(
        "SELECT run_id_base FROM batchflow.workflows WHERE name = ?", [name]
    ).fetchall()
    if not bases:
        return None
    tables = _tables(cursor, name)
    runs = tables["runs"]
    return Found(
        run_id_base=int(bases[0][0]),
        status_names=_members(cursor, runs["status"].sql_type),
        columns=runs,
        records_transitions="transitions" in tables,
    )


def _tables(cursor: Cursor, schema: str) -> dict[str, dict[str, Column]]:
    rows = cursor.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ? ORDER BY column_index",
        [schema],
    ).fetchall()
    tables: dict[str, dict[str, Column]] = {}
    for table, column, sql_type, nullable in rows:
        tables.setdefault(table, {})[column.lower()] = Column(column, sql_type, nullable)
    return tables


def _members(cursor: Cursor, enum_type: str) -> tuple[str, ...]:
    [(names,)] = cursor.execute(f"SELECT enum_range(NULL::{enum_type})::VARCHAR[]").fetchall()
    return tuple(names)


def _status_names(workflow: AnyWorkflow, found: Found) -> tuple[str, ...]:
    """Return the workflow's statuses, then removed ones, which the history may still have."""
    removed = (name for name in found.status_names if name not in workflow.status_names)
    return (*workflow.status_names, *removed)


def _refuse_differences(cursor: Cursor, layout: Layout, found: Found) -> None:
    differences = [
        *_removed_statuses(cursor, layout),
        *_removed_fields(layout, found),
        *_unfillable_fields(layout, found),
        *_retyped_fields(cursor, layout, found),
    ]
    if differences:
        raise MigrationError(
            f"Workflow {layout.name!r} changed in a way that this store can't follow. Undo these "
            "changes, or use a new store.",
            differences=differences,
        )


def _removed_statuses(cursor: Cursor, layout: Layout) -> Iterator[str]:
    removed = layout.status_names[len(layout.workflow.statuses) :]
    if not removed:
        return
    query = (
        f"SELECT status, count(*) FROM {layout.runs} "
        f"WHERE status IN ({', '.join(map(literal, removed))}) GROUP BY status ORDER BY status"
    )
    for status, count in cursor.execute(query).fetchall():
        runs = "1 run has" if count == 1 else f"{count:,} runs have"
        yield f"status {status} was removed, but {runs} it"


def _removed_fields(layout: Layout, found: Found) -> Iterator[str]:
    engine = {"run_id", *(column.name for column in layout.engine_columns())}
    wanted = {field.column.lower() for field in layout.fields}
    for name, column in found.columns.items():
        if name not in engine and name not in wanted:
            yield f"field {column.name!r} ({column.sql_type}) was removed"


def _unfillable_fields(layout: Layout, found: Found) -> Iterator[str]:
    for field in _new_fields(layout, found):
        if field.required:
            yield f"field {field.name!r} ({field.type}) is new and has no default; give it one"


def _retyped_fields(cursor: Cursor, layout: Layout, found: Found) -> Iterator[str]:
    kept = [field for field in layout.fields if field.column.lower() in found.columns]
    if not kept:
        return
    types = ", ".join(f"typeof(CAST(NULL AS {field.type.sql}))" for field in kept)
    [expected] = cursor.execute(f"SELECT {types}").fetchall()
    for field, sql_type in zip(kept, expected, strict=True):
        before = found.columns[field.column.lower()]
        old, new = (
            _described(before.sql_type, before.nullable),
            _described(sql_type, field.nullable),
        )
        if old != new:
            yield f"field {field.name!r} was {old} and is now {new}"


def _described(sql_type: str, nullable: bool) -> str:
    return f"{sql_type} or NULL" if nullable else sql_type


def _new_fields(layout: Layout, found: Found) -> list[Field]:
    return [field for field in layout.fields if field.column.lower() not in found.columns]


def _migrate(cursor: Cursor, layout: Layout, found: Found) -> None:
    if layout.status_names != found.status_names:
        _widen_statuses(cursor, layout, found)
    new = _new_fields(layout, found)
    for field in new:
        _add_column(cursor, layout, field)
    # The values are written last, as DuckDB alters no table that the same transaction updated.
    for field in new:
        _fill(cursor, layout, field)
    if layout.workflow.record_transitions and not found.records_transitions:
        for statement in layout.create_transitions():
            cursor.execute(statement)


def _widen_statuses(cursor: Cursor, layout: Layout, found: Found) -> None:
    columns = [(layout.runs, "status"), (layout.errors, "status")]
    if found.records_transitions:
        tables = (layout.transitions_without_reason, layout.transitions_with_reason)
        columns += [(table, name) for table in tables for name in ("from_status", "to_status")]
    for table, column in columns:
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {layout.status_type}")
    if found.records_transitions:
        # A view keeps the types that its columns had when it was created.
        cursor.execute(layout.create_view_of_transitions())


def _add_column(cursor: Cursor, layout: Layout, field: Field) -> None:
    column = object_column(field)
    if column.nullable:
        cursor.execute(f"ALTER TABLE {layout.runs} ADD COLUMN {column.ddl}")
        return
    placeholder = f"CAST({literal(field.type.placeholder)} AS {column.sql_type})"
    cursor.execute(f"ALTER TABLE {layout.runs} ADD COLUMN {column.ddl} DEFAULT {placeholder}")
    cursor.execute(f"ALTER TABLE {layout.runs} ALTER COLUMN {quote(column.name)} DROP DEFAULT")


def _fill(cursor: Cursor, layout: Layout, field: Field) -> None:
    # A factory that returns different values (ids, say) is called for each run.
    if field.default_factory is not None and field.default_value() != field.default_value():
        _fill_each(cursor, layout, field)
        return
    value = field.default_value()
    if value is not None:
        with staged(cursor, pa.table({"value": write_values([value], field.type).array})):
            cursor.execute(
                f"UPDATE {layout.runs} SET {quote(field.column)} = (SELECT value FROM {STAGED})"
            )


def _fill_each(cursor: Cursor, layout: Layout, field: Field) -> None:
    seqs = cursor.sql(f'SELECT seq AS "#seq" FROM {layout.runs}').to_arrow_table()
    for start in range(0, seqs.num_rows, FILLED_ROWS):
        rows = seqs.slice(start, FILLED_ROWS)
        values = [field.default_value() for _ in range(rows.num_rows)]
        with staged(cursor, rows.append_column("value", write_values(values, field.type).array)):
            cursor.execute(
                f"UPDATE {layout.runs} AS r SET {quote(field.column)} = s.value "
                f'FROM {STAGED} AS s WHERE r.seq = s."#seq"'
            )

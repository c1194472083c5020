"""A workflow in DuckDB: names, types, and the statements that create its tables."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from duckdb.sqltypes import DuckDBPyType

from batchflow.definition.fields import Field
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.definition.workflow import Workflow
from batchflow.store.database.instance import Cursor

if TYPE_CHECKING:
    from batchflow.store.schema.shard import Shard

AnyWorkflow = Workflow[Any, Any]

# A bucket is 2**14 = 16,384 consecutive seqs; the backlog counts runs by bucket.
BUCKET_BITS = 14
SEQ_BITS = 48
# The seqs of a shard's runs begin at a slot of 2**36 seqs of its own, so that they are distinct.
SLOT_BITS = 36
# Outcomes that only the log has: people resume, edit and retry runs, steps don't.
RESUMED = "resumed"
EDITED = "edited"
RETRIED = "retried"
ASCENDING = "bitpacking"
REPEATING = "rle"
UNIQUE_TEXTS = "zstd"

_UUID_VERSION_8 = 0x8 << 76
_UUID_VARIANT = 0b10 << 62
_FREE_BITS = ~((0xF << 76) | (0b11 << 62) | ((1 << SEQ_BITS) - 1)) & ((1 << 128) - 1)


def quote(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


@lru_cache(maxsize=1024)
def type_name(sql: str) -> str:
    """Return the name that DuckDB states for an SQL type, to compare types by their names."""
    return str(DuckDBPyType(sql))


def enum_type(names: Iterable[str]) -> str:
    """Return the ENUM type of these names, in this order."""
    return f"ENUM({', '.join(map(literal, names))})"


RUN_STATE_TYPE = enum_type(state.name for state in RunState)
TRANSITION_OUTCOMES = (
    *(outcome.name.lower() for outcome in Outcome if outcome.recorded),
    RESUMED,
    EDITED,
    RETRIED,
)
OUTCOME_TYPE = enum_type(TRANSITION_OUTCOMES)


def new_run_id_base(bits: int | None = None) -> int:
    """Return a UUID of version 8 whose low 48 bits are zero, to which a seq is added.

    It is random, or made of 128 `bits`.
    """
    chosen = secrets.randbits(128) if bits is None else bits
    return (chosen & _FREE_BITS) | _UUID_VERSION_8 | _UUID_VARIANT


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, its SQL type, and its constraints.

    With `compression`, DuckDB does not try each of its methods on the column, which takes half of
    the time of writing transitions in bulk, and a fifth of a load.
    """

    name: str
    sql_type: str
    nullable: bool = True
    compression: str = ""

    @property
    def ddl(self) -> str:
        """Return the column's part of CREATE TABLE."""
        parts = [quote(self.name), self.sql_type]
        if not self.nullable:
            parts.append("NOT NULL")
        if self.compression:
            parts.append(f"USING COMPRESSION {self.compression}")
        return " ".join(parts)


@dataclass(frozen=True)
class Layout:
    """The tables of a workflow's runs, transitions and errors.

    `status_names` are the members of the store's ENUM: first the workflow's statuses in the order
    of their definition, so that a status has the same code everywhere, then statuses that were
    removed from the workflow but that the history still has. `scope` is a condition on ``seq``:
    only such runs are given to steps. `shard` is the shard that the store is, if it is one.
    """

    workflow: AnyWorkflow
    run_id_base: int
    status_names: tuple[str, ...]
    scope: str = "true"
    shard: Shard | None = None

    @property
    def name(self) -> str:
        """Return the workflow's name."""
        return self.workflow.name

    @property
    def schema(self) -> str:
        """Return the quoted schema."""
        return quote(self.name)

    @property
    def runs(self) -> str:
        """Return the quoted table of runs."""
        return f"{self.schema}.runs"

    @property
    def transitions(self) -> str:
        """Return the quoted view of all transitions."""
        return f"{self.schema}.transitions"

    @property
    def transitions_without_reason(self) -> str:
        """Return the quoted table of transitions without a reason."""
        return f"{self.schema}.transitions_without_reason"

    @property
    def transitions_with_reason(self) -> str:
        """Return the quoted table of transitions with a reason."""
        return f"{self.schema}.transitions_with_reason"

    @property
    def errors(self) -> str:
        """Return the quoted table of errors."""
        return f"{self.schema}.errors"

    @property
    def status_type(self) -> str:
        """Return the SQL type of a status."""
        return enum_type(self.status_names)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of the columns of ``runs``."""
        seq, *engine = (column.name for column in self.engine_columns())
        return (seq, "run_id", *engine, *(field.column for field in self.fields))

    @property
    def column_types(self) -> tuple[str, ...]:
        """Return the SQL types of the columns of ``runs``."""
        seq, *engine = (column.sql_type for column in self.engine_columns())
        return (seq, "UUID", *engine, *(field.type.sql for field in self.fields))

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the object's fields, in the order of their columns."""
        return tuple(self.workflow.fields)

    def status(self, code: int) -> str:
        """Return the status of this code as an SQL value, where DuckDB expects a status.

        It is without its type, because the ENUM's members take longer to parse than the rest.
        """
        return literal(self.status_names[code])

    def engine_columns(self) -> tuple[Column, ...]:
        """Return the engine's own columns of ``runs``, without the virtual run_id."""
        return (
            Column("seq", "BIGINT", nullable=False),
            Column("foreign_id", "VARCHAR", compression=UNIQUE_TEXTS),
            Column("status", self.status_type, nullable=False, compression=REPEATING),
            Column("run_state", RUN_STATE_TYPE, nullable=False, compression=REPEATING),
            Column("version", "INTEGER", nullable=False, compression=REPEATING),
            Column("attempt", "INTEGER", nullable=False, compression=REPEATING),
            Column("next_attempt_at", "TIMESTAMPTZ", compression=REPEATING),
            Column("reason", "VARCHAR"),
            Column("created_at", "TIMESTAMPTZ", nullable=False, compression=REPEATING),
            Column("updated_at", "TIMESTAMPTZ", nullable=False, compression=REPEATING),
        )

    def object_columns(self) -> tuple[Column, ...]:
        """Return the columns of ``runs`` for the object, one for each field."""
        return tuple(object_column(field) for field in self.fields)

    def transition_columns(self) -> tuple[Column, ...]:
        """Return the columns of all transitions, without the virtual run_id and the reason."""
        return (
            Column("seq", "BIGINT", compression=ASCENDING),
            Column("from_status", self.status_type, compression=REPEATING),
            Column("to_status", self.status_type, compression=REPEATING),
            Column("outcome", OUTCOME_TYPE, compression=REPEATING),
            Column("run_state", RUN_STATE_TYPE, compression=REPEATING),
            Column("attempt", "INTEGER", compression=REPEATING),
            Column("version", "INTEGER", compression=REPEATING),
            Column("committed_at", "TIMESTAMPTZ", compression=REPEATING),
        )

    def error_columns(self) -> tuple[Column, ...]:
        """Return the columns of ``errors``, without the virtual run_id."""
        texts = ("type", "message", "traceback", "fingerprint")
        return (
            Column("seq", "BIGINT"),
            Column("status", self.status_type),
            Column("step", "VARCHAR"),
            Column("attempt", "INTEGER"),
            *(Column(name, "VARCHAR") for name in texts),
            Column("committed_at", "TIMESTAMPTZ"),
            Column("cause", "VARCHAR"),
            Column("worker", "VARCHAR"),
            Column("chunk", "BIGINT"),
            Column("seconds", "DOUBLE"),
        )

    def create_statements(self, order: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the statements that create the workflow's schema and tables.

        The columns of ``runs`` are in the given order of their names, if there is one.
        """
        runs = [*self.engine_columns(), *self.object_columns()]
        if order is not None:
            runs.sort(key=lambda column: order.index(column.name))
        tables = [self._create_table(self.runs, runs)]
        if self.workflow.record_transitions:
            tables.extend(self.create_transitions())
        tables.append(self._create_table(self.errors, self.error_columns()))
        return f"CREATE SCHEMA {self.schema}", *tables

    def create_transitions(self) -> tuple[str, ...]:
        """Return the statements that create the tables of transitions and their view.

        A column for the reason would cost each commit time for millions of empty values, so the few
        transitions that have a reason are in a table of their own.
        """
        columns = self.transition_columns()
        few = [Column(column.name, column.sql_type) for column in columns]
        few.append(Column("reason", "VARCHAR"))
        return (
            self._create_table(self.transitions_without_reason, columns),
            self._create_table(self.transitions_with_reason, few),
            self.create_view_of_transitions(),
        )

    def create_view_of_transitions(self) -> str:
        """Return the statement that creates or replaces the view of all transitions."""
        return view_of_transitions(self.schema)

    def _create_table(self, table: str, columns: Sequence[Column]) -> str:
        run_id = f"CAST({self.run_id_base}::UHUGEINT + seq::UHUGEINT AS UUID)"
        seq, *others = (column.ddl for column in columns)
        virtual = f"run_id UUID GENERATED ALWAYS AS ({run_id}) VIRTUAL"
        return f"CREATE TABLE {table} ({', '.join([seq, virtual, *others])})"


def view_of_transitions(schema: str) -> str:
    """Return the statement that creates or replaces a schema's view of all transitions."""
    # The tables' names have no schema, because the file may be attached under the schema's name,
    # and then a name with one part would be ambiguous. A view looks into its own schema first.
    columns = "seq, run_id, from_status, to_status, outcome, run_state, attempt, version"
    return (
        f"CREATE OR REPLACE VIEW {schema}.transitions AS "
        f"SELECT {columns}, committed_at, NULL::VARCHAR AS reason FROM transitions_without_reason "
        f"UNION ALL SELECT {columns}, committed_at, reason FROM transitions_with_reason"
    )


def object_column(field: Field) -> Column:
    """Return the column of one field."""
    return Column(field.column, field.type.sql, field.nullable)


def next_seq(cursor: Cursor, workflow: str) -> int:
    """Return the seq of the workflow's next run."""
    query = "SELECT next_seq FROM batchflow.workflows WHERE name = ?"
    [(seq,)] = cursor.execute(query, [workflow]).fetchall()
    return int(seq)


def set_next_seq(cursor: Cursor, workflow: str, seq: int) -> None:
    """Store the seq of the workflow's next run, in the transaction that used those before."""
    statement = "UPDATE batchflow.workflows SET next_seq = ? WHERE name = ?"
    cursor.execute(statement, [seq, workflow]).fetchall()

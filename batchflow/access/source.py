"""Asking the engine that has a store open, by way of its socket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa
from pyarrow import flight

from batchflow.access.wire import packed_query, refused
from batchflow.store.database.instance import in_memory
from batchflow.store.query.relation import Params
from batchflow.store.schema.layout import quote

_PLAIN: Final = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR", "DOUBLE"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
}


class RemoteSource:
    """A store's engine, at the other end of a socket.

    Args:
        location: its address, as Flight says it.
        path: the store's file, for messages.
        token: what an engine that listens beyond its machine asks for.
        certificate: the certificates (PEM) that its own is held against.
    """

    def __init__(
        self, location: str, path: str, token: str | None = None, certificate: bytes | None = None
    ) -> None:
        self._path = path
        self._client = flight.FlightClient(location, tls_root_certs=certificate)
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._options = flight.FlightCallOptions(headers=headers)
        # Where results become relations again, as they were in the engine's own DuckDB.
        self._instance = in_memory()

    def bind(self, query: str, params: Params) -> RemoteBound:
        """Have the engine check one query that reads.

        Raises:
            QueryError: it isn't one statement that reads, or DuckDB refuses it.
            StoreError: the engine doesn't answer.
        """
        packed = packed_query(query, params)
        return RemoteBound(self, packed, self._action("bind", packed))

    def command(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have a command carried out."""
        return self._action(name, json.dumps(options, default=str).encode())

    def load_file(self, source: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have a path, glob or SQL text loaded."""
        return self.command("load", {"source": source, **options})

    def load_rows(self, rows: pa.RecordBatchReader, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have these rows loaded."""
        descriptor = flight.FlightDescriptor.for_command(json.dumps(options).encode())
        with self.answering():
            writer, answers = self._client.do_put(descriptor, rows.schema, self._options)
            for batch in rows:
                writer.write_batch(batch)
            writer.done_writing()
            answered = answers.read()
            writer.close()
        told: dict[str, Any] = json.loads(answered.to_pybytes())
        return told

    def stream(self, packed: bytes) -> flight.FlightStreamReader:
        """Have a query executed."""
        with self.answering():
            return self._client.do_get(flight.Ticket(packed), self._options)

    def relation_of(self, rows: pa.Table, types: Sequence[str]) -> duckdb.DuckDBPyRelation:
        """Return rows as a relation with columns of these types."""
        relation = self._instance.cursor().from_arrow(rows)
        names = [quote(name) for name in rows.column_names]
        if len(set(names)) < len(names):
            return relation
        # DuckDB takes Arrow's dictionaries, which its own ENUMs become, for plain text.
        return relation.select(
            ", ".join(
                f"{name}::{kind} AS {name}" if kind.startswith("ENUM") else name
                for name, kind in zip(names, types, strict=True)
            )
        )

    def close(self) -> None:
        """Hang up; a second call does nothing."""
        self._client.close()
        self._instance.close()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what Flight raises into what the engine raised."""
        try:
            yield
        except (flight.FlightError, pa.ArrowException) as error:
            raise refused(error, self._path) from None

    def _action(self, name: str, body: bytes) -> dict[str, Any]:
        with self.answering():
            [answer] = self._client.do_action(flight.Action(name, body), self._options)
        told: dict[str, Any] = json.loads(answer.body.to_pybytes())
        return told


class RemoteBound:
    """A query that the engine has checked."""

    def __init__(self, source: RemoteSource, packed: bytes, told: Mapping[str, Any]) -> None:
        self._source = source
        self._packed = packed
        self._told = told

    @property
    def columns(self) -> list[str]:
        """Return the names of its columns."""
        return list(self._told["columns"])

    @property
    def types(self) -> list[str]:
        """Return the SQL types of its columns."""
        return list(self._told["types"])

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return its rows, for one use."""
        return self._source.relation_of(self._all(), self.types)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return its rows as Python's values."""
        if not all(kind in _PLAIN or kind.startswith("ENUM(") for kind in self.types):
            return self.relation().fetchall()
        # What Arrow makes of these is what DuckDB makes of them, in a third of the time.
        return list(zip(*(column.to_pylist() for column in self._all().columns), strict=True))

    def _all(self) -> pa.Table:
        with self._source.answering():
            return self._source.stream(self._packed).read_all()

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """Return its rows as a stream; how many a batch has is said by the engine."""
        stream = self._source.stream(self._packed)
        return pa.RecordBatchReader.from_batches(stream.schema, self._batches(stream))

    def _batches(self, stream: flight.FlightStreamReader) -> Iterator[pa.RecordBatch]:
        with self._source.answering():
            for chunk in stream:
                yield chunk.data

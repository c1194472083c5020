"""Write the results of queries in the chosen format, batch by batch."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchflow.cli.atomic_write import atomic_path
from batchflow.cli.column_casts import cast_for_csv, cast_for_parquet, enums_as_text
from batchflow.cli.earlier_export import WRITER_KEY
from batchflow.cli.output import write, write_relations
from batchflow.cli.streams import discard_output
from batchflow.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.cli.output_format import OutputFormat
    from batchflow.store import Relation


def write_results(relations: Sequence[Relation], form: OutputFormat) -> None:
    """Write the results of queries that have the same columns.

    Raises:
        QueryError: A query failed while it was executed, or has columns that the format can't have.
    """
    if form.as_csv:
        _write_csv([cast_for_csv(relation) for relation in relations])
    elif form.parquet is None:
        write_relations(relations, as_json=form.as_json)
    else:
        several = len(relations) > 1
        prepared = [
            cast_for_parquet(enums_as_text(each) if several else each) for each in relations
        ]
        if form.is_stdout:
            _write_parquet_to_stdout(prepared)
        else:
            with atomic_path(form.parquet) as path, path.open("wb") as file:
                write_parquet(file, prepared)


def write_parquet(sink: Any, relations: Sequence[Relation]) -> int:
    """Write Parquet to a binary stream; return the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from batchflow.store.database.duckdb_message import message_of

    rows = 0
    try:
        batches = record_batches(relations)
        schema = next(batches)
        schema = schema.with_metadata({**(schema.metadata or {}), WRITER_KEY: b"query"})
        with pq.ParquetWriter(sink, schema) as writer:
            for batch in batches:
                rows += batch.num_rows
                writer.write_batch(batch)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise QueryError(
            f"Parquet has no type for a column: {message_of(error)}. Cast it to another type "
            "in SQL."
        ) from None
    return rows


def record_batches(relations: Sequence[Relation]) -> Iterator[Any]:
    """Yield the schema, then all record batches."""
    from batchflow.store.query.relation import executing

    has_schema = False
    for relation in relations:
        reader = relation.to_arrow_reader()
        if not has_schema:
            yield reader.schema
            has_schema = True
        with executing():
            yield from reader


def csv_parts(relations: Sequence[Relation]) -> Iterator[tuple[int, str]]:
    """Yield CSV text with its number of rows: the header, then the batches."""
    batches = record_batches(relations)
    schema = next(batches, None)
    if schema is None:
        return
    # The first batch is fetched before the header is written: if it fails, there is no output.
    first = next(batches, None)
    yield 0, _csv(schema.empty_table(), header=True)
    if first is not None:
        yield first.num_rows, _csv(first)
    for batch in batches:
        yield batch.num_rows, _csv(batch)


def _csv(rows: pa.Table | pa.RecordBatch, *, header: bool = False) -> str:
    from pyarrow import csv

    written = io.BytesIO()
    csv.write_csv(rows, written, csv.WriteOptions(include_header=header))
    return written.getvalue().decode()


def _write_csv(relations: Sequence[Relation]) -> None:
    for _, text in csv_parts(relations):
        if not write(text):
            return


def _write_parquet_to_stdout(relations: Sequence[Relation]) -> None:
    try:
        write_parquet(_CountedStdout(), relations)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)


class _CountedStdout(io.RawIOBase):
    """Stdout with a position, which Arrow needs and a pipe doesn't have."""

    def __init__(self) -> None:
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = sys.stdout.buffer.write(data)
        self._written += written
        return written

    def tell(self) -> int:
        return self._written

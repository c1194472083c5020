"""The rows of queries as Parquet and CSV, batch by batch."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchflow.errors import QueryError
from batchflow.export.earlier_export import WRITER_KEY

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.store.query.relation import Relation


def write_parquet(sink: Any, relations: Sequence[Relation]) -> int:
    """Write Parquet to a binary stream; return the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    try:
        batches = record_batches(relations)
        schema = marked(next(batches))
        with pq.ParquetWriter(sink, schema) as writer:
            for batch in batches:
                rows += batch.num_rows
                writer.write_batch(batch)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise without_type(error) from None
    return rows


def marked(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the mark of files that batchflow wrote."""
    return schema.with_metadata({**(schema.metadata or {}), WRITER_KEY: b"query"})


def without_type(error: Exception) -> QueryError:
    """Return the error of a column whose type Parquet doesn't have."""
    from batchflow.store.database.duckdb_message import message_of

    return QueryError(
        f"Parquet has no type for a column: {message_of(error)}. Cast it to another type in SQL."
    )


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
    yield 0, csv_text(schema.empty_table(), header=True)
    if first is not None:
        yield first.num_rows, csv_text(first)
    for batch in batches:
        yield batch.num_rows, csv_text(batch)


def csv_text(rows: pa.Table | pa.RecordBatch, *, header: bool = False) -> str:
    """Return rows as CSV text."""
    from pyarrow import csv

    written = io.BytesIO()
    csv.write_csv(rows, written, csv.WriteOptions(include_header=header))
    return written.getvalue().decode()

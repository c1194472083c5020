"""Results of DuckDB as Arrow."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def fetch(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """Return the whole result in types that Arrow can make itself.

    DuckDB's lossless conversion, without which UUIDs would be text, sends booleans as bytes. And it
    sends an empty map without a type of its own, such as ``MAP {}``, with keys of the type null,
    which may not be null: such keys become text.
    """
    table = relation.to_arrow_table()
    schema = pa.schema([field.with_type(_plain(field.type)) for field in table.schema])
    return table if schema.types == table.schema.types else table.cast(schema)


def plain_batches(sent: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the same stream in types that Arrow can make itself, as `fetch` does."""
    schema = pa.schema([field.with_type(_plain(field.type)) for field in sent.schema])
    if schema.types == sent.schema.types:
        return sent
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in sent))


def _plain(sent: pa.DataType) -> pa.DataType:
    if isinstance(sent, pa.Bool8Type):
        return pa.bool_()
    if pa.types.is_list(sent):
        return pa.list_(_plain_field(sent.value_field))
    if pa.types.is_struct(sent):
        return pa.struct([_plain_field(field) for field in sent])
    if pa.types.is_map(sent):
        key = pa.string() if pa.types.is_null(sent.key_type) else _plain(sent.key_type)
        return pa.map_(key, _plain_field(sent.item_field))
    return sent


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain(field.type))

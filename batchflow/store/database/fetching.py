"""Results of DuckDB as Arrow."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def fetch(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """Return the whole result, with booleans as Arrow's own type.

    DuckDB's lossless conversion, without which UUIDs would be text, sends booleans as bytes.
    """
    table = relation.to_arrow_table()
    schema = pa.schema([field.with_type(_plain(field.type)) for field in table.schema])
    return table if schema.types == table.schema.types else table.cast(schema)


def plain_batches(sent: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the same stream with booleans as Arrow's own type."""
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
        return pa.map_(sent.key_type, _plain_field(sent.item_field))
    return sent


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain(field.type))

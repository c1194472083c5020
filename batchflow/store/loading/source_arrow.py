"""Arrow tables and frames as a source: what DuckDB would change or not understand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.fields import Field
from batchflow.errors import SourceError
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.loading.source_frame import frame_of, written_columns

_STREAM: Final = "__arrow_c_stream__"
# In the order in which they are tried: of a reader by Arrow's scanner, of a data set, of a table of
# Delta, of a scan by Iceberg, and of its table.
_CONVERSIONS: Final = (
    *("to_reader", "scanner", "to_pyarrow_dataset", "to_arrow_batch_reader", "scan"),
)
_FINE: Final = pa.duration("ns")
_FINE_NAME: Final = str(_FINE)
_COARSE: Final = pa.duration("us")
# A duration that is too long for every field stands for one that is too fine.
_UNFIT: Final = pa.scalar(np.iinfo(np.int64).max)
_KNOWN_EXTENSIONS: Final = frozenset({"arrow.uuid", "arrow.bool8", "arrow.json"})


def offers_arrow(given: Any) -> bool:
    """Return whether a source is Arrow's, or its library makes Arrow of it when it is asked."""
    return any(hasattr(given, method) for method in (_STREAM, *_CONVERSIONS))


def arrow_of(given: Any, fields: Sequence[Field]) -> pa.Table | pa.RecordBatchReader:
    """Return a source that exports Arrow as a table or a reader.

    Args:
        given: The source. Columns of a frame that Arrow would change are checked here, and the
            result has a label then, like a stream of objects.
        fields: The workflow's fields.

    Raises:
        SourceError: A column can't be exported.
    """
    given = _streamed(given)
    if isinstance(given, pa.Table | pa.RecordBatchReader):
        return given
    written = written_columns(given, fields)
    try:
        if written:
            return frame_of(given, written, fields)
        return pa.RecordBatchReader.from_stream(given)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        mixed = "; ".join(_mixed_columns(given))
        # pandas names the column where it refuses columns of the same name, or sparse ones.
        problem = mixed or ("" if isinstance(error, pa.ArrowException) else str(error).rstrip("."))
        found = problem or "a column has values that Arrow doesn't take"
        raise SourceError(f"The {type(given).__name__} can't be read: {found}.") from None


def _streamed(given: Any) -> Any:
    """Return what exports a stream; a data set and a table of a lake have to be scanned first."""
    label = f"The {type(given).__name__}"
    while not hasattr(given, _STREAM):
        method = next(each for each in _CONVERSIONS if hasattr(given, each))
        try:
            given = getattr(given, method)()
        except (pa.ArrowException, OSError):
            raise
        except Exception as error:
            # Of any class: each library has its own.
            raise SourceError(f"{label} can't be read: {message_of(error)}") from None
        if not offers_arrow(given):
            raise SourceError(f"{label} can't be read: its {method}() returns no Arrow data.")
    return given


def loadable(
    label: str, arrow: pa.Table | pa.RecordBatchReader, names: Collection[str]
) -> pa.Table | pa.RecordBatchReader:
    """Return rows that DuckDB reads without a change.

    Args:
        label: What messages call the source.
        arrow: The rows.
        names: The columns that are loaded, in lower case.

    Raises:
        SourceError: A column has a type that only another library knows.
    """
    for field in arrow.schema:
        if field.name.lower() in names and _is_foreign(field.type):
            raise SourceError(
                f"{label} has the column {field.name!r} of type {field.type.extension_name}, which "
                "can't be read. Convert it to a type of Arrow."
            )
    fine = [at for at, field in enumerate(arrow.schema) if _FINE_NAME in str(field.type)]
    if not fine:
        return arrow
    schema = arrow.schema
    for at in fine:
        schema = schema.set(at, schema.field(at).with_type(_coarse(schema.field(at).type)))
    batches = arrow.to_batches() if isinstance(arrow, pa.Table) else arrow
    return pa.RecordBatchReader.from_batches(schema, _coarse_batches(batches, schema, fine))


def _mixed_columns(frame: Any) -> Iterator[str]:
    """Yield the types of the values of each column of a pandas frame that has several."""
    for name, kind in getattr(getattr(frame, "dtypes", None), "items", dict)():
        if str(kind) == "object":
            # Row by row, because such a column has no type of its own. The load has failed.
            types = sorted({type(value).__name__ for value in frame[name] if value is not None})
            if len(types) > 1:
                yield f"column {name!r} has values of the types {' and '.join(types)}"


def _is_foreign(kind: pa.DataType) -> bool:
    extension = isinstance(kind, pa.BaseExtensionType)
    return extension and kind.extension_name not in _KNOWN_EXTENSIONS


def _coarse(kind: pa.DataType) -> pa.DataType:
    """Return a type with microseconds in place of a duration's nanoseconds."""
    if kind == _FINE:
        return _COARSE
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_coarse(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _coarse(kind.item_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_coarse(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_coarse(kind.value_type), kind.list_size)
    return pa.list_(_coarse(kind.value_type)) if pa.types.is_list(kind) else kind


def _coarse_batches(
    batches: Any, schema: pa.Schema, fine: Collection[int]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = [
            _in_microseconds(column, schema.field(at).type) if at in fine else column
            for at, column in enumerate(batch.columns)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _in_microseconds(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind != _COARSE:
        # The cast fails if nanoseconds are left.
        return column.cast(kind)
    nanoseconds = column.cast(pa.int64())
    whole = pc.divide(nanoseconds, 1_000)
    exact = pc.equal(pc.multiply(whole, 1_000), nanoseconds)
    return pc.if_else(exact, whole, _UNFIT).cast(_COARSE)

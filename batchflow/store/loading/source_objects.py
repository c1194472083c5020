"""An iterable of objects as a source: a stream of Arrow batches that is read once.

The batches are complete: the stream can be sent to another process, whose engine loads it as if
it had the objects itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.field_type import SCALARS
from batchflow.errors import BatchflowError, SourceError
from batchflow.store.loading.column_match import FOREIGN_ID_COLUMN, match_columns
from batchflow.store.loading.fitted_table import MISFIT, NOTE
from batchflow.store.loading.object_columns import ObjectColumns, UnlikeObjectError
from batchflow.store.schema.layout import AnyWorkflow

_BATCH_ROWS: Final = 16_384
_LABEL: Final = b"batchflow.objects"


class ObjectStream:
    """Objects in columns, a batch at a time, so that more objects can pass than fit into memory.

    Args:
        workflow: The workflow whose objects they are.
        objects: Instances of its object type, of a dataclass with the same name and fields, or
            mappings of the fields' values by name.
        foreign_id: The column with the foreign ids. Mappings may have it besides the fields; it
            is in the stream if the first object is a mapping, or if there is none.

    Attributes:
        label: What messages call the source.
        failure: The error that the iterable raised, as DuckDB only passes on its text.

    Raises:
        SourceError: The iterable failed at its first object.
    """

    def __init__(
        self, workflow: AnyWorkflow, objects: Iterable[Any], foreign_id: str | None = None
    ) -> None:
        self.label = f"The {type(objects).__name__}"
        self.failure: BaseException | None = None
        key = foreign_id or FOREIGN_ID_COLUMN
        self._first, self._objects = self._opened(objects)
        own_key = key not in {field.name for field in workflow.fields}
        may_have_it = all(isinstance(first, Mapping) for first in self._first)
        self._key = key if own_key and may_have_it else None
        self._foreign_id = foreign_id
        self._columns = ObjectColumns(workflow, self._key)
        self._object_name = workflow.object_type.__name__
        self._schema = self._schema_of(workflow)

    def reader(self) -> pa.RecordBatchReader:
        """Return the reader of the stream; it can be read once."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _opened(self, objects: Iterable[Any]) -> tuple[list[Any], Iterator[Any]]:
        try:
            rest = iter(objects)
            return list(itertools.islice(rest, 1)), rest
        except Exception as error:
            raise self._failed(error) from error

    def _schema_of(self, workflow: AnyWorkflow) -> pa.Schema:
        columns = [(field.name, field.type.arrow) for field in workflow.fields]
        if self._key is not None:
            columns.append((self._key, pa.string()))
        columns += [(MISFIT, pa.int16()), (NOTE, pa.string())]
        return pa.schema(columns, metadata={_LABEL: self.label.encode()})

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            count = 0
            objects = itertools.chain(self._first, self._objects)
            while chunk := list(itertools.islice(objects, _BATCH_ROWS)):
                yield self._batch(chunk, count)
                count += len(chunk)
        except BaseException as error:
            self.failure = self._failed(error)
            raise self.failure from self.failure.__cause__

    def _failed(self, error: BaseException) -> BaseException:
        if isinstance(error, BatchflowError) or not isinstance(error, Exception):
            return error
        failed = SourceError(
            f"{self.label} failed with {type(error).__name__} before its end, so nothing was "
            "loaded; see its cause."
        )
        failed.__cause__ = error
        return failed

    def _batch(self, objects: Sequence[Any], before: int) -> pa.RecordBatch:
        if before == 0 and self._key is not None:
            # As in any other source: without the column, no row would have a foreign id.
            names = list(dict.fromkeys(str(key) for one in objects for key in _keys(one)))
            match_columns(self.label, names, (), self._foreign_id, strict=False)
        try:
            written = self._columns.write(objects)
        except UnlikeObjectError as unlike:
            raise SourceError(
                f"Item {before + unlike.position + 1} of the source {unlike.problem}. Give objects "
                f"of {self._object_name}, mappings of their fields' values, or a table."
            ) from None
        arrays = [column.array for column in written]
        if self._key is not None:
            arrays.append(_foreign_ids(objects, self._key))
        arrays += misfits(written, len(objects))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def with_label(table: pa.Table, label: str) -> pa.Table:
    """Return a table that was checked, with what messages call it; see `label_of_checked`."""
    return table.replace_schema_metadata({_LABEL: label.encode()})


def label_of_checked(schema: pa.Schema) -> str | None:
    """Return what messages call a stream of objects or a frame; None if it wasn't checked."""
    label = (schema.metadata or {}).get(_LABEL)
    return label.decode() if label is not None and MISFIT in schema.names else None


def _keys(one: Any) -> Iterable[Any]:
    return one if isinstance(one, Mapping) else ()


def _foreign_ids(objects: Sequence[Any], key: str) -> pa.Array:
    found = [one.get(key) if isinstance(one, Mapping) else None for one in objects]
    texts = [str(each) if type(each) is int else each for each in found]
    written = write_values(texts, SCALARS[str].or_none())
    if not written.problems:
        return written.array
    # Null is what a load refuses as a foreign id.
    kept = [None if row in written.problems else text for row, text in enumerate(texts)]
    return write_values(kept, SCALARS[str].or_none()).array


def misfits(columns: Sequence[WrittenColumn], rows: int) -> tuple[pa.Array, pa.Array]:
    """Return for each row the position of the first column whose value doesn't fit, or null.

    And a phrase for what was found there, without the value.
    """
    found = np.full(rows, -1, dtype=np.int16)
    notes: dict[int, str] = {}
    for position, column in enumerate(columns):
        unfit = np.fromiter(column.problems, dtype=np.int64)
        new = unfit[found[unfit] < 0]
        found[new] = position
        notes |= {row: str(column.problems[row]) for row in new.tolist()}
    noted = (
        pa.array(map(notes.get, range(rows)), pa.string()) if notes else pa.nulls(rows, pa.string())
    )
    return pa.array(found, mask=found < 0), noted

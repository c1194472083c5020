"""An iterable of objects as a source: a stream of Arrow batches that is read once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from batchflow.columns.value_writing import write_values
from batchflow.errors import SourceError
from batchflow.store.schema.layout import AnyWorkflow

MISFIT: Final = "#misfit"
"""The column of the position of a row's first field whose value doesn't fit; else null."""

_BATCH_ROWS: Final = 16_384


class ObjectStream:
    """The objects in columns, a batch at a time, so that more of them pass than memory holds.

    Attributes:
        failure: what the iterable raised, as DuckDB only passes on its text.
    """

    def __init__(self, workflow: AnyWorkflow, objects: Iterable[Any]) -> None:
        self.failure: BaseException | None = None
        self._workflow = workflow
        self._objects = iter(objects)
        self._schema = pa.schema(
            [
                *((field.name, field.type.arrow) for field in workflow.fields),
                (MISFIT, pa.int16()),
            ]
        )

    def reader(self) -> pa.RecordBatchReader:
        """Return the reader of the stream; there is only the one."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            count = 0
            while chunk := list(itertools.islice(self._objects, _BATCH_ROWS)):
                self._check(chunk, count)
                count += len(chunk)
                yield self._batch(chunk)
        except BaseException as error:
            self.failure = error
            raise

    def _check(self, objects: list[Any], before: int) -> None:
        expected = self._workflow.object_type
        if all(isinstance(found, expected) for found in objects):
            return
        row = next(i for i, found in enumerate(objects) if not isinstance(found, expected))
        raise SourceError(
            f"Item {before + row + 1} of the source is of type {type(objects[row]).__name__}, and "
            f"not {expected.__name__}; give objects of that class, or a table."
        )

    def _batch(self, objects: list[Any]) -> pa.RecordBatch:
        misfits = np.full(len(objects), -1, dtype=np.int16)
        columns = []
        for position, field in enumerate(self._workflow.fields):
            # Row by row, as that is how objects come.
            values = [getattr(one, field.name, None) for one in objects]
            written = write_values(values, field.type)
            columns.append(written.array)
            rows = np.fromiter(written.problems, dtype=np.int64)
            misfits[rows[misfits[rows] < 0]] = position
        columns.append(pa.array(misfits, mask=misfits < 0))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

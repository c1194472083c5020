"""Check the foreign ids of a source while its rows go directly into the store."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.errors import SourceError
from batchflow.store.loading.fitted_table import MISFIT
from batchflow.store.loading.load_plan import LoadedColumn
from batchflow.store.loading.source_instance import OutsideRows


class UncleanKeysError(Exception):
    """A row doesn't fit, or its foreign id may occur twice.

    The load rolls back, and stages the rows.
    """


class ForeignIdCheck:
    """Raise UncleanKeysError if a row doesn't fit, or its foreign id may occur twice.

    Foreign ids that ascend from row to row are distinct, and most files are sorted like that; the
    check costs 3 ms for a million rows. At the first foreign id that doesn't ascend, the source's
    DuckDB counts the distinct ones of all rows, which costs 100 ms or more.

    Args:
        outside: The source, which can be read twice.
        key: Its column of foreign ids.
    """

    def __init__(self, outside: OutsideRows, key: LoadedColumn) -> None:
        self._outside = outside
        self._key = key
        self._last: pa.Scalar | None = None
        self._rows: int | None = None

    def __call__(self, table: pa.Table) -> None:
        """Check the next rows."""
        keys = table[self._key.column]
        if keys.null_count or table[MISFIT].null_count < table.num_rows:
            raise UncleanKeysError
        if self._rows is None and not self._ascend(keys):
            self._rows = self._distinct_rows()

    def check_rows(self, loaded: int, label: str) -> None:
        """Raise SourceError if the number of stored rows isn't that of the checked ones."""
        if self._rows not in (None, loaded):
            raise SourceError(f"{label} changed while it was read. Load it again.")

    def _ascend(self, keys: pa.ChunkedArray) -> bool:
        if not len(keys):
            return True
        # Values of other types might have equal texts, or texts in another order.
        if not (pa.types.is_string(keys.type) or pa.types.is_integer(keys.type)):
            return False
        first, before, self._last = keys[0], self._last, keys[-1]
        follows = before is None or pc.less(before, first).as_py()
        within = pc.all(pc.less(keys.slice(0, len(keys) - 1), keys.slice(1)), min_count=0)
        return bool(follows and within.as_py())

    def _distinct_rows(self) -> int:
        """Return the number of all rows; each has a foreign id of its own."""
        rows, distinct = self._outside.count_keys(self._key.value)
        if rows != distinct:
            raise UncleanKeysError
        return rows

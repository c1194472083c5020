"""Whether the foreign ids of a source that goes right into the store are clean."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.errors import SourceError
from batchflow.store.loading.load_plan import LoadedColumn
from batchflow.store.loading.source_instance import Outside


class UncleanKeysError(Exception):
    """A foreign id is missing, or may come twice; within a load alone, whose rows it takes back."""


class KeyWatch:
    """Watches the rows pass by, and raises UncleanKeysError where a foreign id isn't clean.

    Those that ascend from row to row come but once, and few files are written otherwise: seeing
    that costs 3 ms a million rows. All others are looked at together by the source's DuckDB, which
    costs 100 ms or more, and is done where the first one doesn't ascend.

    Args:
        outside: the source, which can be read twice.
        key: its column of foreign ids.
    """

    def __init__(self, outside: Outside, key: LoadedColumn) -> None:
        self._outside = outside
        self._key = key
        self._last: pa.Scalar | None = None
        self._rows: int | None = None

    def __call__(self, table: pa.Table) -> None:
        """Look at the next of the rows."""
        keys = table[self._key.column]
        if keys.null_count:
            raise UncleanKeysError
        if self._rows is None and not self._ascend(keys):
            self._rows = self._distinct_rows()

    def check_rows(self, loaded: int, label: str) -> None:
        """Raise SourceError where other rows were stored than were looked at."""
        if self._rows not in (None, loaded):
            raise SourceError(f"{label} changed while it was read; load it again.")

    def _ascend(self, keys: pa.ChunkedArray) -> bool:
        if not len(keys):
            return True
        # Of other types the texts might be equal, or have another order.
        if not (pa.types.is_string(keys.type) or pa.types.is_integer(keys.type)):
            return False
        first, before, self._last = keys[0], self._last, keys[-1]
        follows = before is None or pc.less(before, first).as_py()
        within = pc.all(pc.less(keys.slice(0, len(keys) - 1), keys.slice(1)), min_count=0)
        return bool(follows and within.as_py())

    def _distinct_rows(self) -> int:
        """Count all rows, each of which has a foreign id of its own."""
        table, key = self._outside.table, self._key.value
        # Of hashes, as 8 bytes group faster than a text; a collision costs time alone.
        hashes = f"SELECT DISTINCT hash({key}) FROM {table} WHERE {key} IS NOT NULL"
        query = f"SELECT (SELECT count(*) FROM {table}), (SELECT count(*) FROM ({hashes}))"
        # The source's own cursor is in the middle of its rows.
        with self._outside.cursor.cursor() as cursor:
            [(rows, distinct)] = cursor.execute(query).fetchall()
        if rows != distinct:
            raise UncleanKeysError
        return int(rows)

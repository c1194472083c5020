"""A query of a SQL database as a source: a stream of Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from batchflow.credentials import without_credentials
from batchflow.errors import InvalidOptionError, SourceError
from batchflow.operation.options import require_name
from batchflow.store.urls.database import connected, is_database


class DatabaseQuery:
    """The rows of a query, which is executed each time that they are read.

    Args:
        url: The database's URL; nothing shows or stores it.
        query: The query.

    Attributes:
        failure: The error that ended the rows, because readers of a stream pass on its text only.
    """

    def __init__(self, url: str, query: str) -> None:
        if not is_database(url):
            raise InvalidOptionError(
                "The URL of the database doesn't begin with postgresql://, and no other database "
                "is supported.",
                option="url",
            )
        require_name(query, "query")
        self._url = url
        self._query = query
        self.failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {without_credentials(self._url)!r}>"

    def __reduce__(self) -> Any:
        raise TypeError("A query of a database can't be pickled, because it has its password.")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Execute the query and return its rows."""
        return self._reader().__arrow_c_stream__(requested_schema)

    def _reader(self) -> pa.RecordBatchReader:
        self.failure = None
        with ExitStack() as opened:
            doing = "The query of the database failed"
            connection = opened.enter_context(connected(self._url, doing, SourceError))
            cursor = opened.enter_context(connection.cursor())
            cursor.execute(self._query)
            rows = cursor.fetch_record_batch()
            plain = pa.schema([_plain(field) for field in rows.schema])
            return pa.RecordBatchReader.from_batches(
                plain, self._batches(rows, plain, opened.pop_all())
            )
        raise AssertionError("A block that raised ends the method.")

    def _batches(
        self, rows: pa.RecordBatchReader, plain: pa.Schema, opened: ExitStack
    ) -> Iterator[pa.RecordBatch]:
        try:
            with opened:
                for batch in rows:
                    columns = [_stored(column) for column in batch.columns]
                    yield pa.RecordBatch.from_arrays(columns, schema=plain)
        except GeneratorExit:
            raise
        except (pa.ArrowException, OSError):
            self.failure = SourceError(
                "The query of the database broke off before its end, so nothing was loaded. Load "
                "it again."
            )
            raise self.failure from None
        except BaseException as error:
            self.failure = error
            raise


def _plain(field: pa.Field) -> pa.Field:
    """Return the field of a column without what the driver knows of its type in the database."""
    kind = field.type.storage_type if _is_opaque(field.type) else field.type
    return pa.field(field.name, kind)


def _stored(column: pa.Array) -> pa.Array:
    return column.storage if _is_opaque(column.type) else column


def _is_opaque(kind: pa.DataType) -> bool:
    """Return whether the driver hands a type on as another one, as a NUMERIC as its text."""
    extension = isinstance(kind, pa.BaseExtensionType)
    return bool(extension and kind.extension_name == "arrow.opaque")

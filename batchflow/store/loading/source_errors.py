"""Errors of DuckDB and Arrow about a source, as errors of batchflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from batchflow.errors import SourceError
from batchflow.store.database.duckdb_message import message_of


@contextmanager
def translated(
    label: str,
    message: Callable[[Exception], str] = message_of,
    failure: Callable[[], BaseException | None] = lambda: None,
) -> Iterator[None]:
    """Raise errors of DuckDB and Arrow as SourceError, without the source's values.

    Args:
        label: What messages call the source.
        message: Returns the message of an error.
        failure: Returns the error that the source itself raised, if it did.
    """
    try:
        yield
    except duckdb.ConstraintException:
        raise
    # PyArrow's reader raises DuckDB's errors about files as OSError.
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        cause = failure()
        if cause is None:
            raise SourceError(f"{label} can't be read: {message(error)}") from None
        raise cause from cause.__cause__

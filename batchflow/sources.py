"""Sources of loads that are not files, tables or objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchflow.store.loading.database_query import DatabaseQuery


def query(url: str, query: str) -> DatabaseQuery:
    """Return the rows of a query of a SQL database, for `trigger_many`.

    The process that makes the call connects to the database, also where another one has the store
    open. The rows are streamed, so there may be more than fit into memory.

    Args:
        url: The database's URL, like ``"postgresql://user@host/name"``. It may lack the password:
            libpq reads ``PGPASSWORD`` and ``~/.pgpass``. Nothing stores, logs or shows it.
        query: The query.

    Raises:
        InvalidOptionError: The URL is that of another kind of database.
    """
    from batchflow.store.loading.database_query import DatabaseQuery

    return DatabaseQuery(url, query)

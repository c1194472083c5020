"""What a question answers: a query that is executed when its rows are asked for."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol, Self

import duckdb

from batchflow.errors import QueryError
from batchflow.picture import escaped, html_table
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.fetching import fetch, plain_batches
from batchflow.store.schema.layout import quote

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Params = Sequence[Any] | Mapping[str, Any] | None

BATCH_ROWS = 65_536
SHOWN_ROWS = 20
# A pipe has no width.
SHOWN_WIDTH = 100_000
EXPLAIN = re.compile(r"\s*EXPLAIN\b", re.IGNORECASE)
NUMBERS = re.compile(
    r"(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))"
)


class Bound(Protocol):
    """A query whose names and types are known to be right, and that wasn't executed yet."""

    @property
    def columns(self) -> list[str]:
        """Return the names of its columns."""

    @property
    def types(self) -> list[str]:
        """Return the SQL types of its columns."""

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return its rows, for one use."""

    def rows(self) -> list[tuple[Any, ...]]:
        """Return its rows as Python's values."""

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """Return its rows as a stream of record batches."""


class Source(Protocol):
    """Where queries are answered: a store that is open here, or one that another process serves."""

    def bind(self, query: str, params: Params) -> Bound:
        """Check one query that reads.

        Raises:
            QueryError: it isn't one statement that reads, or DuckDB refuses it.
        """


class Relation:
    """The rows of one query; nothing is executed until they are asked for, and again each time.

    What narrows it (`filter`, `select`, `order`, `limit`, `aggregate`) answers another relation.
    Each execution sees the store as it is at that moment, as a whole.

    Raises:
        QueryError: from each method, if DuckDB refuses the query or fails at it.
    """

    def __init__(self, source: Source, query: str, params: Params = None) -> None:
        self._source = source
        self._params = params
        self._ask(query)

    def _ask(self, query: str) -> None:
        self._query = query
        self._bound = self._source.bind(query, self._params)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._bound.columns

    @property
    def types(self) -> list[str]:
        """The SQL types of the columns."""
        return self._bound.types

    # What narrows it.

    def filter(self, condition: str) -> Self:
        """Keep the rows that an SQL condition chooses."""
        return self._with_its_columns(f"WHERE (\n{condition}\n)")

    def select(self, *expressions: str) -> Relation:
        """Compute columns: names, or SQL expressions like ``"total * 2 AS twice"``."""
        return self._other(self._around(f"SELECT {', '.join(expressions)} FROM"))

    def order(self, expressions: str) -> Self:
        """Sort by SQL expressions, like ``"total DESC, run_id"``."""
        return self._with_its_columns(f"ORDER BY {expressions}")

    def limit(self, rows: int, offset: int = 0) -> Self:
        """Keep at most so many rows, after the first ``offset``."""
        return self._with_its_columns(f"LIMIT {int(rows)} OFFSET {int(offset)}")

    def aggregate(self, expressions: str, group: str = "ALL") -> Relation:
        """Aggregate by SQL expressions, grouped by those of them that aggregate nothing."""
        return self._other(self._around(f"SELECT {expressions} FROM", f"GROUP BY {group}"))

    def _with_its_columns(self, after: str) -> Self:
        """Return what is still the same question, of fewer rows or in another order."""
        narrowed = copy(self)
        narrowed._ask(self._around("SELECT * FROM", after))
        return narrowed

    def _other(self, query: str) -> Relation:
        return Relation(self._source, query, self._params)

    def _around(self, before: str, after: str = "") -> str:
        # The query stands on lines of its own, where a comment at its end hides nothing.
        return f"{before} (\n{self._within}\n) {after}".rstrip()

    @property
    def _within(self) -> str:
        """Return the query as it may stand in another, which no semicolon may."""
        return self._query.rstrip("; \t\r\n")

    # What executes it.

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples."""
        with executing():
            return self._bound.rows()

    def df(self) -> pd.DataFrame:
        """Return all rows as a pandas frame."""
        with executing():
            return self._bound.relation().df()

    def pl(self) -> pl.DataFrame:
        """Return all rows as a Polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow_table())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return self.to_arrow_table()

    def to_arrow_table(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        with executing():
            return fetch(self._bound.relation())

    def to_arrow_reader(self, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """Return the rows as a stream of record batches, of bounded size in memory."""
        with executing():
            return plain_batches(self._bound.reader(batch_rows))

    def __len__(self) -> int:
        """Count the rows."""
        [(rows,)] = self.aggregate("count(*)").fetchall()
        return int(rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow_reader().__arrow_c_stream__(requested_schema)

    # What shows it.

    def show(self, max_rows: int = SHOWN_ROWS, max_width: int | None = None) -> None:
        """Print the first rows as a table."""
        print(self.text(max_rows, max_width))  # noqa: T201 -- that is what it is for

    def text(self, max_rows: int = SHOWN_ROWS, max_width: int | None = None) -> str:
        """Return the first rows as a table for people."""
        shown, drawn = self._without_enums(), io.StringIO()
        with executing(), contextlib.redirect_stdout(drawn):
            relation = shown._bound.relation()
            relation.show(max_rows=max_rows, max_width=max_width or SHOWN_WIDTH)
        return drawn.getvalue().rstrip("\n")

    def __repr__(self) -> str:
        if EXPLAIN.match(self._query):
            return self._plan()
        return self.limit(SHOWN_ROWS).text(max_width=100)

    def _repr_html_(self) -> str:
        if EXPLAIN.match(self._query):
            return f"<pre>{escaped(self._plan())}</pre>"
        rows = self._as_texts(SHOWN_ROWS + 1).fetchall()
        numbers = {at for at, kind in enumerate(self.types) if NUMBERS.fullmatch(kind)}
        table = html_table(self.columns, rows[:SHOWN_ROWS], numbers)
        more = f"<p>The first {SHOWN_ROWS} rows; there are more.</p>"
        return f"<div>{table}{more if len(rows) > SHOWN_ROWS else ''}</div>"

    def _plan(self) -> str:
        """Return what EXPLAIN says, which is drawn already and can't stand within a query."""
        return "\n".join(str(row[-1]) for row in self.fetchall())

    def _as_texts(self, rows: int) -> Relation:
        """Return the first rows in DuckDB's words; Python has none for some of its values."""
        names = [f"c{place}" for place in range(len(self.columns))]
        text = (
            f"SELECT {', '.join(f'{name}::VARCHAR' for name in names)} "
            f"FROM (\n{self._within}\n) AS shown({', '.join(names)}) LIMIT {rows}"
        )
        return self._other(text)

    def _without_enums(self) -> Relation:
        """Turn statuses into plain text: the heading of an ENUM column lists all its members."""
        enums = [kind.startswith("ENUM") for kind in self.types]
        if not any(enums) or self.has_namesakes:
            return self
        shown = (
            f"{quote(name)}::VARCHAR AS {quote(name)}" if is_enum else quote(name)
            for name, is_enum in zip(self.columns, enums, strict=True)
        )
        return self.select(*shown)

    @property
    def has_namesakes(self) -> bool:
        """Whether two columns have the same name, but for upper and lower case."""
        return len({name.casefold() for name in self.columns}) < len(self.columns)


@contextlib.contextmanager
def executing() -> Iterator[None]:
    """Turn what DuckDB raises while a query is executed into a QueryError."""
    try:
        yield
    except duckdb.Error as error:
        found = message_of(error)
        raise QueryError(
            f"The query failed while it was executed: {found}", found=found
        ) from cause(error)

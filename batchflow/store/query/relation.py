"""The rows of a query, which is executed when they are read."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Self

import duckdb

from batchflow.errors import BatchflowError, QueryError
from batchflow.operation.options import whole_number
from batchflow.operation.parameters import Params, has_members, plain_params
from batchflow.picture import escaped, html_table
from batchflow.store.database.duckdb_message import cause, is_of_duckdb, message_of
from batchflow.store.database.fetching import fetch, plain_batches
from batchflow.store.query.frames import pandas_frame, polars_frame, require_library
from batchflow.store.query.interruption import interruptible
from batchflow.store.query.known_names import Members, sentence, unknown_in
from batchflow.store.query.permission import require_text
from batchflow.store.query.source import Columns, ResultT, Rows, Source
from batchflow.store.schema.layout import quote

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

BATCH_ROWS: Final = 65_536
SHOWN_ROWS: Final = 20
# A pipe has no width.
SHOWN_WIDTH: Final = 100_000
# Of messages about values that DuckDB can't convert.
_CONVERTED: Final = "convert"
_EXPLAIN: Final = re.compile(r"\s*EXPLAIN\b", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    r"(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))"
)


@dataclass(frozen=True)
class Question:
    """The query that a relation started from, to explain why it is refused.

    Attributes:
        query: The query before anything was applied to it.
        explain: Returns the error to raise where DuckDB refuses that query itself.
        params: The values of its parameters.
    """

    query: str
    explain: Callable[[QueryError], BatchflowError]
    params: Params = None


class Relation:
    """The rows of one query, which is executed when rows are read, and again each time.

    `filter`, `select`, `order`, `limit` and `aggregate` return another relation and execute
    nothing. Each execution sees the store as it is at that moment, as a whole.

    Raises:
        QueryError: From each method that reads rows or columns, if DuckDB refuses the query or
            fails to execute it.
    """

    def __init__(
        self,
        source: Source,
        query: str,
        params: Params = None,
        question: Question | None = None,
        *,
        members: Members | None = None,
    ) -> None:
        self._source = source
        self._query = query
        self._params = params
        self._question = question
        # The names that columns can have, to find typos in a filter.
        self._members = members or {}

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._described.names)

    @property
    def types(self) -> list[str]:
        """The SQL types of the columns."""
        return list(self._described.types)

    @cached_property
    def _described(self) -> Columns:
        try:
            return self._source.describe(self._query, self._params)
        except QueryError as error:
            raise self._explained(error) from error.__cause__

    # Narrowing it.

    def filter(self, condition: str, params: Params = None) -> Self:
        """Keep the rows that an SQL condition chooses; ``params`` are bound to ``?`` or ``$name``.

        Raises:
            QueryError: The condition is empty, or compares a status of runs with an unknown name.
        """
        require_text(condition, "condition")
        bound = plain_params(params)
        found = unknown_in(condition, self._members, bound) if self._members else None
        if found is not None:
            raise QueryError(
                f"The condition {condition!r} can't be executed: {sentence(found)}", found=found
            )
        narrowed = self._narrowed(f"WHERE (\n{condition}\n)")
        narrowed._params = _both(self._params, bound)
        return narrowed

    def select(self, *expressions: str) -> Relation:
        """Compute columns: names, or SQL expressions like ``"total * 2 AS twice"``."""
        for expression in expressions:
            require_text(expression, "expression")
        return self._other(self._around(f"SELECT {', '.join(expressions)} FROM"))

    def order(self, expressions: str) -> Self:
        """Sort by SQL expressions, like ``"total DESC, run_id"``.

        Raises:
            QueryError: They aren't SQL text.
        """
        require_text(expressions, "order")
        return self._narrowed(f"ORDER BY {expressions}")

    def limit(self, rows: int, offset: int = 0) -> Self:
        """Keep at most so many rows, after the first ``offset`` rows.

        Raises:
            InvalidOptionError: One of them isn't a whole number.
        """
        kept, first = whole_number(rows, "rows"), whole_number(offset, "offset")
        return self._narrowed(f"LIMIT {kept} OFFSET {first}")

    def aggregate(self, expressions: str, group: str = "ALL") -> Relation:
        """Aggregate by SQL expressions, grouped by those of them that aggregate nothing."""
        require_text(expressions, "expression")
        require_text(group, "group")
        return self._other(self._around(f"SELECT {expressions} FROM", f"GROUP BY {group}"))

    def _narrowed(self, after: str) -> Self:
        """Return a relation of the same kind with fewer rows, or in another order."""
        narrowed = copy(self)
        narrowed.__dict__.pop("_described", None)
        narrowed._query = self._around("SELECT * FROM", after)
        return narrowed

    def _other(self, query: str) -> Relation:
        return Relation(self._source, query, self._params, self._question)

    def _around(self, before: str, after: str = "") -> str:
        # The query is on lines of its own, where a comment at its end hides nothing.
        return f"{before} (\n{self._within}\n) {after}".rstrip()

    @property
    def _within(self) -> str:
        """The query as it may be part of another, which no semicolon may."""
        return self._query.rstrip("; \t\r\n")

    # Reading its rows.

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples."""
        return self._read(lambda rows: rows.tuples())

    def df(self) -> pd.DataFrame:
        """Return all rows as a pandas frame; docs/queries.md lists the dtypes.

        Raises:
            ImportError: pandas isn't installed.
        """
        require_library("pandas", "df()")
        return self._read(pandas_frame)

    def pl(self) -> pl.DataFrame:
        """Return all rows as a Polars frame; UUIDs are text, as Polars has no type for them.

        Raises:
            ImportError: Polars isn't installed.
        """
        require_library("polars", "pl()")
        return self._read(polars_frame)

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return self.to_arrow_table()

    def to_arrow_table(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return self._read(lambda rows: fetch(rows.relation()))

    def to_arrow_reader(self, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """Return the rows as a stream of record batches, of bounded size in memory.

        The store is being read until the stream ends or is dropped.
        """
        import pyarrow as pa

        streamed = self._streamed(batch_rows)
        schema = next(streamed)
        return pa.RecordBatchReader.from_batches(schema, streamed)

    def _streamed(self, batch_rows: int) -> Iterator[Any]:
        """Yield the schema, then the record batches."""
        with self._rows() as rows:
            sent = partial(rows.reader, batch_rows)
            reader = plain_batches(interruptible(sent, rows.interrupt))
            yield reader.schema
            following = partial(next, reader, None)
            while (batch := interruptible(following, rows.interrupt)) is not None:
                yield batch

    def __len__(self) -> int:
        """Count the rows."""
        [(rows,)] = self.aggregate("count(*)").fetchall()
        return int(rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow_reader().__arrow_c_stream__(requested_schema)

    # Showing it.

    def show(self, max_rows: int = SHOWN_ROWS, max_width: int | None = None) -> None:
        """Print the first rows as a table."""
        print(self.text(max_rows, max_width))  # noqa: T201 -- its purpose

    def text(self, max_rows: int = SHOWN_ROWS, max_width: int | None = None) -> str:
        """Return the first rows as a table of text."""

        def draw(rows: Rows) -> str:
            drawn = io.StringIO()
            with contextlib.redirect_stdout(drawn):
                shown = _without_enums(rows)
                shown.show(max_rows=max_rows, max_width=max_width or SHOWN_WIDTH)
            return drawn.getvalue().rstrip("\n")

        return self._read(draw)

    def __repr__(self) -> str:
        if _EXPLAIN.match(self._query):
            return self._plan()
        return self.limit(SHOWN_ROWS).text(max_width=100)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Return all forms in which a notebook may show the rows, from one execution."""
        if _EXPLAIN.match(self._query):
            plan = self._plan()
            return {"text/plain": plan, "text/html": f"<pre>{escaped(plan)}</pre>"}
        columns, cells = self.limit(SHOWN_ROWS + 1)._read(
            lambda rows: (rows.columns, _as_texts(rows).fetchall())
        )
        lines = [columns.names, *(map(str, row) for row in cells[:SHOWN_ROWS])]
        text = "\n".join("\t".join(line) for line in lines)
        return {"text/plain": text, "text/html": _html(columns, cells)}

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_()["text/html"]

    def _plan(self) -> str:
        """Return the output of EXPLAIN, which can't be part of another query."""
        return "\n".join(str(row[-1]) for row in self.fetchall())

    # Executing it.

    def _read(self, action: Callable[[Rows], ResultT]) -> ResultT:
        def executed(rows: Rows) -> ResultT:
            with executing():
                return action(rows)

        try:
            return self._source.read(self._query, self._params, executed)
        except QueryError as error:
            raise self._explained(error) from error.__cause__

    @contextlib.contextmanager
    def _rows(self) -> Iterator[Rows]:
        try:
            with self._source.rows(self._query, self._params) as rows, executing():
                yield rows
        except QueryError as error:
            raise self._explained(error) from error.__cause__

    def _explained(self, error: QueryError) -> BatchflowError:
        """Return the error to raise: the question's own where that is what DuckDB refuses."""
        if _CONVERTED in error.found and has_members(self._params):
            found = f"{error.found}; a member of an enum is bound as its name, so give its value"
            return QueryError(f"The query failed while it was executed: {found}.", found=found)
        if self._question is None:
            return error
        try:
            self._source.describe(self._question.query, self._question.params)
        except QueryError as refused:
            return self._question.explain(refused)
        return error

    @property
    def has_namesakes(self) -> bool:
        """Whether two columns have the same name, but for upper and lower case."""
        return _have_namesakes(self.columns)


def _html(columns: Columns, cells: Sequence[tuple[Any, ...]]) -> str:
    numbers = {at for at, kind in enumerate(columns.types) if _NUMBERS.fullmatch(kind)}
    table = html_table(columns.names, cells[:SHOWN_ROWS], numbers)
    more = f"<p>The first {SHOWN_ROWS} rows; there are more.</p>"
    return f"<div>{table}{more if len(cells) > SHOWN_ROWS else ''}</div>"


def _both(first: Params, second: Params) -> Params:
    """Return the parameters of a query and of what surrounds it."""
    if not first or not second:
        return first or second
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        repeated = [name for name in second if name in first and first[name] != second[name]]
        if not repeated:
            return {**first, **second}
        raise QueryError(f"The parameter {repeated[0]!r} has two values; use another name.")
    if isinstance(first, Mapping) or isinstance(second, Mapping):
        raise QueryError("Some parameters have names and others don't; name all of them.")
    return [*first, *second]


def _have_namesakes(names: Sequence[str]) -> bool:
    return len({name.casefold() for name in names}) < len(names)


def _as_texts(rows: Rows) -> duckdb.DuckDBPyRelation:
    """Return rows as DuckDB prints them; Python has no equal for some of its values."""
    texts = ", ".join(f"#{place}::VARCHAR" for place in range(1, len(rows.columns.names) + 1))
    return rows.relation().select(texts)


def _without_enums(rows: Rows) -> duckdb.DuckDBPyRelation:
    """Return rows with statuses as plain text: the head of an ENUM column lists its members."""
    names, types = rows.columns.names, rows.columns.types
    enums = [kind.startswith("ENUM") for kind in types]
    if not any(enums) or _have_namesakes(names):
        return rows.relation()
    shown = (
        f"{quote(name)}::VARCHAR AS {quote(name)}" if is_enum else quote(name)
        for name, is_enum in zip(names, enums, strict=True)
    )
    return rows.relation().select(", ".join(shown))


@contextlib.contextmanager
def executing() -> Iterator[None]:
    """Turn the errors that DuckDB raises while a query is executed into QueryError.

    From a stream, Arrow passes them on as errors of its own.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if not is_of_duckdb(error):
            raise
        found = message_of(error)
        raise QueryError(
            f"The query failed while it was executed: {found}", found=found
        ) from cause(error)

"""The failures of runs by their causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.closest_name import did_you_mean
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation.parameters import Params, plain_params
from batchflow.store.query.known_names import members_of
from batchflow.store.query.later_tables import has_table
from batchflow.store.query.moments import ALWAYS, Period
from batchflow.store.query.queries import predicate, refused_predicate
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.tables import Tables

# In a file of an older format, which has no causes, and errors of the time before have fingerprints
# in their place.
_NO_CAUSES: Final = """(
    SELECT NULL::VARCHAR AS cause, NULL::VARCHAR AS description, NULL::VARCHAR AS function,
           NULL::VARCHAR AS file, NULL::INTEGER AS line
    WHERE false)"""
_PLACE: Final = """
    c.function || ', ' || CASE WHEN c.file LIKE '%ipykernel%' THEN 'notebook'
                               ELSE parse_filename(c.file) END || ':' || c.line"""

_FAILURES: Final = """
    SELECT e.*, e.rowid AS "#row", {cause} AS "#cause"{by}
    FROM {errors} AS e{join}
    WHERE {condition}"""

# The failure at which a run stands: its last one, if that is at its status and attempt. A run that
# was resumed begins with its first attempt again.
_STANDING: Final = """
    SELECT r.seq, r.status, r.attempt - 1 AS attempt, e.moment
    FROM {runs} AS r
    JOIN (SELECT seq, max(committed_at) AS moment FROM {errors} GROUP BY seq) AS e USING (seq)
    WHERE r.attempt > 1 AND r.run_state IN ({unfinished})"""
_STANDS: Final = (
    "s.seq = f.seq AND s.moment = f.committed_at AND s.attempt = f.attempt AND s.status = f.status"
)

# Sets of runs are kept as a bit for each of 64 consecutive seqs; see ``run_sets.py``.
_BY_CAUSE: Final = f"""
    WITH parts AS (
        SELECT {{by}}f."#cause" AS cause, f.step AS step, f.seq >> 6 AS slab,
               bit_or(1::UBIGINT << (f.seq & 63)::UBIGINT) AS runs,
               coalesce(bit_or(1::UBIGINT << (s.seq & 63)::UBIGINT), 0) AS affected,
               count(*) AS count, min(f.committed_at) AS first_seen,
               max(f.committed_at) AS last_seen, arg_max(f."#row", f.committed_at) AS sample
        FROM ({{failures}}) AS f LEFT JOIN ({{standing}}) AS s ON {_STANDS}
        GROUP BY ALL
    ),
    slabs AS (
        SELECT * EXCLUDE (step, runs, affected, count, first_seen, last_seen, sample),
               list(step) AS steps, bit_or(runs) AS runs, bit_or(affected) AS affected,
               sum(count) AS count, min(first_seen) AS first_seen,
               arg_max(sample, last_seen) AS sample, max(last_seen) AS last_seen
        FROM parts GROUP BY ALL
    ),
    every AS (
        SELECT sum(bit_count(runs)) AS failed
        FROM (SELECT bit_or(runs) AS runs FROM slabs GROUP BY slab)
    ),
    grouped AS (
        SELECT * EXCLUDE (slab, steps, runs, affected, count, first_seen, last_seen, sample),
               list_sort(list_distinct(flatten(list(steps)))) AS steps,
               sum(bit_count(runs))::BIGINT AS runs, sum(bit_count(affected))::BIGINT AS affected,
               sum(count)::BIGINT AS count, min(first_seen) AS first_seen,
               arg_max(sample, last_seen) AS sample, max(last_seen) AS last_seen
        FROM slabs GROUP BY ALL
    )
    SELECT {{names}}g.cause, coalesce(c.description, e.type || ': ' || e.message) AS description,
           g.count, g.runs, g.affected, g.runs / failed AS share, g.steps, g.first_seen,
           g.last_seen, e.run_id, e.type, {_PLACE} AS place, e.message{{traceback}}
    FROM grouped AS g
    CROSS JOIN every
    JOIN {{errors}} AS e ON e.rowid = g.sample
    LEFT JOIN {{causes}} AS c ON c.cause = g.cause
    ORDER BY g.count DESC, g.last_seen DESC, g.cause"""

_OF_ERRORS: Final = ("status", "step", "attempt", "type", "worker", "chunk")


@dataclass(frozen=True)
class _Chosen:
    """The failures that a question is about.

    Attributes:
        query: Their query, with the columns of ``errors``, ``#cause``, and those of `by`.
        by: The names of the columns by which they are also grouped.
        causes: The table of causes.
        params: The parameters of the query.
    """

    query: str
    by: Sequence[str]
    causes: str
    params: Params


class Failures(Relation):
    """Causes of failures, a row for each, from which one gets to their runs and to each failure."""

    _tables: Tables
    _chosen: _Chosen

    @classmethod
    def of(
        cls,
        source: Source,
        tables: Tables,
        chosen: _Chosen,
        query: str,
        question: Question | None,
    ) -> Failures:
        """Return the rows of a query whose failures were chosen."""
        made = cls(source, query, chosen.params, question)
        made._tables, made._chosen = tables, chosen
        return made

    @property
    def by(self) -> Sequence[str]:
        """The columns by which the failures are also grouped."""
        return self._chosen.by

    def runs(self, *, affected: bool = False) -> Relation:
        """Return the runs that failed so, with all columns.

        Args:
            affected: Only those that still stand there: unfinished, at the status where they failed
                so, and not resumed since.
        """
        seqs = f"SELECT f.seq FROM ({self._chosen.query}) AS f SEMI JOIN shown ON {self._same}"
        if affected:
            seqs += f" SEMI JOIN ({_standing(self._tables)}) AS s ON {_STANDS}"
        query = (
            f"WITH shown AS (\n{self._within}\n) "
            f"SELECT * FROM {self._tables.runs} WHERE seq IN ({seqs})"
        )
        return Relation(self._source, query, self._twice, members=members_of(self._tables))

    def all(self) -> Relation:
        """Return each of the failures with its traceback, the latest first.

        Its columns are those of ``errors``.
        """
        query = (
            f"WITH shown AS (\n{self._within}\n) "
            'SELECT f.* EXCLUDE ("#row", "#cause") '
            f"FROM ({self._chosen.query}) AS f SEMI JOIN shown ON {self._same} "
            "ORDER BY f.committed_at DESC, f.seq"
        )
        return Relation(self._source, query, self._twice)

    @property
    def _same(self) -> str:
        columns = [('f."#cause"', "shown.cause")]
        columns += [(f"f.{quote(_by(name))}", f"shown.{quote(name)}") for name in self._chosen.by]
        return " AND ".join(f"{left} IS NOT DISTINCT FROM {right}" for left, right in columns)

    @property
    def _twice(self) -> Params:
        """The parameters of a query that has the chosen failures a second time, at its end."""
        first, again = self._params, self._chosen.params
        if not first or isinstance(first, Mapping):
            return first
        return [*first, *(again or ())]


@dataclass(frozen=True, kw_only=True)
class FailuresWanted:
    """Which failures a question is about, as the caller gave it; see `Questions.errors`."""

    cause: str | None = None
    where: str | None = None
    params: Params = None
    period: Period = ALWAYS
    by: Sequence[str] = ()


def errors(
    source: Source, tables: Tables, wanted: FailuresWanted, *, tracebacks: bool = False
) -> Failures:
    """Return the failures by cause, the most frequent first; `Questions.errors` lists the columns.

    Raises:
        InvalidOptionError: There is no such column or cause, or a time isn't one.
        QueryError: The predicate can't be executed.
    """
    chosen = _chosen(source, tables, wanted)
    query = _BY_CAUSE.format(
        by="".join(f"f.{quote(_by(name))}, " for name in chosen.by),
        names="".join(f"g.{quote(_by(name))} AS {quote(name)}, " for name in chosen.by),
        failures=chosen.query,
        standing=_standing(tables),
        errors=tables.errors,
        causes=chosen.causes,
        traceback=", e.traceback" if tracebacks else "",
    )
    where = wanted.where
    question = None
    if where is not None:

        def explain(error: QueryError) -> QueryError:
            return refused_predicate(tables, where, error.found)

        question = Question(query, explain, chosen.params)
    return Failures.of(source, tables, chosen, query, question)


def _chosen(source: Source, tables: Tables, wanted: FailuresWanted) -> _Chosen:
    params = plain_params(wanted.params)
    if wanted.where is None and params:
        raise InvalidOptionError("params are given without a predicate.", option="params")
    columns = [_by_column(tables, name) for name in wanted.by]
    known = has_table(source, "causes")
    cause = "coalesce(e.cause, e.fingerprint)" if known else "e.fingerprint"
    causes = "batchflow.causes" if known else _NO_CAUSES
    if wanted.cause is not None:
        _require_known(source, tables, _text(wanted.cause), cause, causes)
    query = _FAILURES.format(
        cause=cause,
        by="".join(f", {column} AS {quote(_by(name))}" for name, column in columns),
        errors=tables.errors,
        join=f" JOIN {tables.runs} AS r USING (seq)" if columns else "",
        condition=" AND ".join(_conditions(tables, wanted, params, cause)) or "true",
    )
    return _Chosen(
        query=query,
        by=[name for name, _ in columns],
        causes=causes,
        params=params,
    )


def seqs_standing_at(source: Source, tables: Tables, cause: str) -> str:
    """Return the query for the ``seq`` of the runs that stand at a failure with this cause."""
    chosen = _chosen(source, tables, FailuresWanted(cause=cause))
    return (
        f"SELECT f.seq FROM ({chosen.query}) AS f SEMI JOIN ({_standing(tables)}) AS s ON {_STANDS}"
    )


def _conditions(
    tables: Tables, wanted: FailuresWanted, params: Params, cause: str
) -> Iterator[str]:
    if wanted.cause is not None:
        yield f"{cause} = {literal(_text(wanted.cause))}"
    if wanted.where is not None:
        yield _of_runs(tables, wanted.where, params)
    if wanted.period != ALWAYS:
        yield wanted.period.has("e.committed_at")


def _of_runs(tables: Tables, where: str, params: Params) -> str:
    return f"e.seq IN (SELECT seq FROM {tables.runs} WHERE {predicate(tables, where, params)})"


def _standing(tables: Tables) -> str:
    return _STANDING.format(runs=tables.runs, errors=tables.errors, unfinished=UNFINISHED_STATES)


def _text(cause: object) -> str:
    if isinstance(cause, str):
        return cause
    raise InvalidOptionError(
        f"cause is of type {type(cause).__name__}; give the text in the column 'cause'.",
        option="cause",
    )


def _require_known(source: Source, tables: Tables, wanted: str, cause: str, causes: str) -> None:
    """Raise InvalidOptionError unless a failure has a cause, here or in another workflow."""
    known = (
        f"SELECT EXISTS (FROM {causes} AS c WHERE c.cause = $cause) "
        f"OR EXISTS (FROM {tables.errors} AS e WHERE {cause} = $cause)"
    )
    [(found,)] = Relation(source, known, {"cause": wanted}).fetchall()
    if not found:
        raise InvalidOptionError(
            f"No failure of workflow {tables.name!r} has the cause {wanted!r}; give one that "
            "errors() lists in its column 'cause', or 'batchflow errors'.",
            option="cause",
        )


def _by(name: str) -> str:
    """Return the name that a column has beside those of ``errors``, which may have the same."""
    return f"#by:{name}"


def _by_column(tables: Tables, name: str) -> tuple[str, str]:
    """Return a column's name, and its SQL: first of the failures, then of their runs.

    Raises:
        InvalidOptionError: There is no such column.
    """
    of_runs = {each.casefold(): each for each in tables.column_names}
    if name.casefold() in _OF_ERRORS:
        return name, f"e.{quote(name)}"
    if name.casefold() in of_runs:
        return name, f"r.{quote(of_runs[name.casefold()])}"
    column, _, member = name.partition(".")
    if column.casefold() in of_runs and member in _members(tables, column):
        return name, f"struct_extract(r.{quote(column)}, {literal(member)})"
    known = [*_OF_ERRORS, *of_runs.values()]
    known += [f"{column}.{member}" for column in known for member in _members(tables, column)]
    raise InvalidOptionError(
        f"by is {name!r}, which is no column of failures or runs."
        f"{did_you_mean(name, known)} The columns are: {', '.join(dict.fromkeys(known))}.",
        option="by",
    )


def _members(tables: Tables, column: str) -> list[str]:
    """Return the members of a nested column of runs; none of any other."""
    kinds = dict(zip(map(str.casefold, tables.column_names), tables.column_types, strict=True))
    kind = DuckDBPyType(kinds.get(column.casefold(), "VARCHAR"))
    return [str(member) for member, _ in kind.children] if kind.id == "struct" else []

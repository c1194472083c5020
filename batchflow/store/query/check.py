"""Whether a store is sane: its log replays to its table, and nothing is there twice or missing.

As in `run_sets`, the runs of 64 consecutive seqs, a *slab*, are a set of bits. The changes of one
version in a slab are such a set too, and so whole versions are compared with those before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchflow.definition.run_state import ALLOWED, RunState
from batchflow.errors import QueryError, StoreFormatError
from batchflow.store.query.catalog import Catalog
from batchflow.store.query.check_report import CheckReport, Problem, TableSize
from batchflow.store.query.later_tables import has_table
from batchflow.store.query.queries import has_transitions
from batchflow.store.query.relation import Relation
from batchflow.store.query.run_counts import UNFINISHED_STATES
from batchflow.store.query.run_sets import RUNS, SLAB, samples_of
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.shard import READ_SHARD, Shard, shard_of_row
from batchflow.store.schema.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchflow.definition.workflow import AnyWorkflow

_FIRST_FORMAT_WITH_OPERATIONS: Final = 3
_BY_HAND: Final = "('resumed', 'edited', 'retried')"

_ALLOWED_CHANGES: Final = ", ".join(
    literal(f"{before.name} {after.name}")
    for before in RunState
    for after in RunState
    if ALLOWED[before, after]
)

# The sets that the checks compare. Each run has a version 1, which no transition records.
_SETS: Final = f"""
    present AS MATERIALIZED (
        SELECT {SLAB}, version, status, run_state, {RUNS} AS runs, count(*) AS rows
        FROM {{runs}} GROUP BY ALL
    ),
    there AS MATERIALIZED (
        SELECT slab, bit_or(runs) AS runs, sum(rows) AS rows FROM present GROUP BY slab
    ),
    log AS MATERIALIZED (
        SELECT {SLAB}, version, from_status, to_status, outcome, run_state,
               {RUNS} AS runs, count(*) AS rows
        FROM {{transitions}} GROUP BY ALL
    ),
    versions AS MATERIALIZED (
        SELECT slab, version, bit_or(runs) AS runs, sum(rows) AS rows FROM log GROUP BY ALL
        UNION ALL SELECT slab, 1, runs, bit_count(runs) FROM there
    ),
    starts AS (
        SELECT slab, version, from_status AS status, bit_or(runs) AS runs FROM log GROUP BY ALL
    ),
    ends AS (
        SELECT slab, version, to_status AS status, run_state, bit_or(runs) AS runs
        FROM log GROUP BY ALL
    ),
    states AS (
        SELECT slab, version, run_state::VARCHAR AS run_state, bit_or(runs) AS runs
        FROM log GROUP BY ALL
        UNION ALL SELECT slab, 1, 'INITIATED', runs FROM there
    )"""

# Each query selects the sets of runs, as ``slab`` and ``runs``, of which something is wrong.
_OF_TABLE: Final = {
    "runs that are in the table twice": """
        SELECT seq >> 6 AS slab, 1::UBIGINT << (seq & 63)::UBIGINT AS runs FROM {runs}
        WHERE seq >> 6 IN (SELECT slab FROM there WHERE rows <> bit_count(runs))
        GROUP BY seq HAVING count(*) > 1""",
    "runs with a number that is yet to be given": f"""
        SELECT {SLAB}, {RUNS} AS runs FROM {{runs}}
        WHERE seq >= (SELECT next_seq FROM batchflow.workflows WHERE name = {{workflow}})
        GROUP BY slab""",
    "unfinished runs whose foreign id has another one": f"""
        SELECT {SLAB}, {RUNS} AS runs FROM {{runs}} WHERE run_state IN ({UNFINISHED_STATES})
        AND foreign_id IN (
            SELECT foreign_id FROM {{runs}} WHERE run_state IN ({UNFINISHED_STATES})
            GROUP BY foreign_id HAVING count(*) > 1
        ) GROUP BY slab""",
}
_OF_LOG: Final = {
    "transitions of runs that aren't in the table": """
        SELECT slab, bit_or(l.runs) & ~coalesce(any_value(t.runs), 0::UBIGINT) AS runs
        FROM log AS l LEFT JOIN there AS t USING (slab) GROUP BY slab""",
    "runs with two transitions of one version": """
        SELECT seq >> 6 AS slab, 1::UBIGINT << (seq & 63)::UBIGINT AS runs FROM {transitions}
        WHERE seq >> 6 IN (SELECT slab FROM versions WHERE rows <> bit_count(runs))
        GROUP BY seq, version HAVING count(*) > 1""",
    "runs whose versions have a gap": """
        SELECT v.slab, v.runs & t.runs & ~coalesce(before.runs, 0::UBIGINT) AS runs
        FROM versions AS v JOIN there AS t USING (slab)
        LEFT JOIN versions AS before ON before.slab = v.slab AND before.version = v.version - 1
        WHERE v.version > 1""",
    "runs whose version isn't that of their last transition": """
        SELECT p.slab, p.runs & (~coalesce(v.runs, 0::UBIGINT) | coalesce(after.runs, 0::UBIGINT))
            AS runs
        FROM present AS p LEFT JOIN versions AS v USING (slab, version)
        LEFT JOIN versions AS after ON after.slab = p.slab AND after.version = p.version + 1""",
    "runs that aren't where their last transition led": """
        SELECT slab, p.runs & v.runs & ~coalesce(e.runs, 0::UBIGINT) AS runs
        FROM present AS p JOIN versions AS v USING (slab, version)
        LEFT JOIN ends AS e USING (slab, version, status, run_state) WHERE version > 1
        UNION ALL
        SELECT slab, runs FROM present WHERE version = 1 AND run_state <> 'INITIATED'""",
    "transitions that don't begin where the one before led": """
        SELECT s.slab, s.runs & before.runs & ~coalesce(e.runs, 0::UBIGINT) AS runs
        FROM starts AS s
        JOIN versions AS before ON before.slab = s.slab AND before.version = s.version - 1
        LEFT JOIN (
            SELECT slab, version, status, bit_or(runs) AS runs FROM ends GROUP BY ALL
        ) AS e ON e.slab = s.slab AND e.version = s.version - 1 AND e.status = s.status
        WHERE s.version > 2""",
    "changes of the run state that aren't allowed": f"""
        SELECT a.slab, a.runs & b.runs AS runs
        FROM states AS a JOIN states AS b ON b.slab = a.slab AND b.version = a.version - 1
        WHERE a.run_state <> b.run_state
        AND b.run_state || ' ' || a.run_state NOT IN ({_ALLOWED_CHANGES})""",
    "failures without their error, or errors without their failure": f"""
        SELECT slab, xor(coalesce(f.runs, 0::UBIGINT), coalesce(e.runs, 0::UBIGINT)) AS runs
        FROM (
            SELECT {SLAB}, from_status AS status, attempt, committed_at, {RUNS} AS runs
            FROM {{transitions}} WHERE outcome = 'failed' GROUP BY ALL
        ) AS f FULL JOIN (
            SELECT {SLAB}, status, attempt, committed_at, {RUNS} AS runs
            FROM {{errors}} GROUP BY ALL
        ) AS e USING (slab, status, attempt, committed_at)""",
}
_OF_OPERATIONS: Final = {
    "transitions by hand that no operation made": f"""
        SELECT {SLAB}, {RUNS} AS runs
        FROM (FROM {{transitions}} WHERE outcome IN {_BY_HAND}) AS t
        ANTI JOIN (FROM batchflow.operations WHERE workflow = {{workflow}}) AS o
        ON o.performed_at = t.committed_at
        AND (o.outcome = t.outcome::VARCHAR OR o.operation = 'promote')
        GROUP BY slab""",
}
_UNDECLARED: Final = {
    "transitions that the workflow doesn't declare": """
        SELECT slab, runs FROM log WHERE NOT CASE
            WHEN outcome = 'advanced' THEN
                from_status::VARCHAR || ' ' || to_status::VARCHAR IN ({edges})
            WHEN outcome = 'retried' THEN to_status::VARCHAR IN ({steps})
            ELSE from_status = to_status END""",
}

_LOST_CHANGES: Final = f"""
    SELECT sum(changed - coalesce(rows, 0))::BIGINT FROM (
        SELECT performed_at, outcome, sum(changed) AS changed FROM batchflow.operations
        WHERE workflow = {{workflow}} AND outcome IN {_BY_HAND} GROUP BY ALL
    ) AS o LEFT JOIN (
        SELECT committed_at AS performed_at, outcome::VARCHAR AS outcome, count(*) AS rows
        FROM {{transitions}} WHERE outcome IN {_BY_HAND} GROUP BY ALL
    ) AS t USING (performed_at, outcome)
    WHERE changed > coalesce(rows, 0)"""


def check(source: Source, catalog: Catalog) -> CheckReport:
    """Return what is wrong with a store, and what can't be verified."""
    [(version,)] = Relation(source, "SELECT format_version FROM batchflow.store").fetchall()
    problems: list[Problem] = []
    unverified: list[str] = []
    shard = _shard(source)
    for name, tables in catalog.tables(None).items():
        found = _Check(source, tables, version, shard)
        problems += found.problems(_definition(catalog, name))
        unverified += found.unverified
    return CheckReport(
        problems=tuple(problems),
        unverified=tuple(unverified),
        tables=tuple(_sizes(source)),
        **_space(source),
    )


def _shard(source: Source) -> Shard | None:
    if not has_table(source, "shard"):
        return None
    found = Relation(source, READ_SHARD).fetchall()
    return shard_of_row(*found[0]) if found else None


def _definition(catalog: Catalog, name: str) -> AnyWorkflow | None:
    try:
        return catalog.definition(name)
    except StoreFormatError:
        return None


class _Check:
    """The check of one workflow.

    Attributes:
        unverified: What can't be verified, each as a sentence.
    """

    def __init__(self, source: Source, tables: Tables, version: int, shard: Shard | None) -> None:
        self.unverified: list[str] = []
        self._source = source
        self._tables = tables
        self._version = version
        self._shard = shard
        self._recorded = has_transitions(source, tables)

    def problems(self, workflow: AnyWorkflow | None) -> Iterator[Problem]:
        """Yield what is wrong."""
        damaged = list(self._unreadable())
        yield from damaged
        if damaged:
            self._cannot("is checked no further, because of its damaged tables")
            return
        yield from self._compared(workflow)
        lost = self._note_missing()
        if lost:
            yield lost

    def _unreadable(self) -> Iterator[Problem]:
        names = ("runs", "transitions", "errors") if self._recorded else ("runs", "errors")
        # They read each block, whose checksum DuckDB compares then.
        reads = {n: f"SELECT count(hash(t)) FROM {getattr(self._tables, n)} AS t" for n in names}
        if self._damage(" UNION ALL ".join(reads.values())) is None:
            return
        for name, query in reads.items():
            damage = self._damage(query)
            if damage is not None:
                yield self._problem(f"the table of {name} can't be read: {damage}", 0)

    def _damage(self, query: str) -> str | None:
        try:
            Relation(self._source, query).fetchall()
        except QueryError as error:
            return error.found
        return None

    def _compared(self, workflow: AnyWorkflow | None) -> Iterator[Problem]:
        checks = dict(_OF_TABLE)
        if self._shard is not None:
            own = self._shard.has("foreign_id")
            checks["runs of another shard"] = (
                f"SELECT {SLAB}, {RUNS} AS runs FROM {{runs}} WHERE NOT ({own}) GROUP BY slab"
            )
        if not self._recorded:
            self._cannot("has no log of transitions, so nothing is compared with it")
        else:
            checks |= _OF_LOG
            if self._version >= _FIRST_FORMAT_WITH_OPERATIONS:
                checks |= _OF_OPERATIONS
            else:
                self._cannot(f"is in a file of format {self._version}, without all operations")
            if workflow is None:
                self._cannot("isn't described, so its transitions aren't compared with its steps")
            else:
                checks |= _UNDECLARED
        parts = self._parts(workflow)
        selected = " UNION ALL ".join(
            f"SELECT {literal(what)} AS what, slab, runs FROM ({query.format(**parts)})"
            for what, query in checks.items()
        )
        sets = _SETS if self._recorded else _SETS[: _SETS.index("    log AS")].rstrip(" \n,")
        samples = samples_of(self._tables.run_id_base)
        query = (
            f"WITH {sets.format(**parts)} "
            f"SELECT what, sum(bit_count(runs))::BIGINT AS count, {samples} AS samples "
            f"FROM ({selected}) WHERE runs <> 0 GROUP BY what ORDER BY count DESC, what"
        )
        for what, count, samples in Relation(self._source, query).fetchall():
            yield self._problem(what, count, samples)

    def _parts(self, workflow: AnyWorkflow | None) -> dict[str, str]:
        tables = self._tables
        edges, steps = _declared(workflow) if workflow is not None else ((), ())
        return {
            "runs": tables.runs,
            "transitions": tables.transitions,
            "errors": tables.errors,
            "workflow": literal(tables.name),
            "edges": _listed(edges),
            "steps": _listed(steps),
        }

    def _note_missing(self) -> Problem | None:
        """Note the runs that are gone; without any, operations changed as many runs as they say."""
        if self._shard is not None and self._shard.is_rewritten:
            self._cannot("is in a shard that was made of others, so no run can be missed")
            return None
        first = 0 if self._shard is None else self._shard.first_seq
        [(missing,)] = Relation(
            self._source,
            f"SELECT next_seq - {first} - (SELECT count(*) FROM {self._tables.runs}) "
            "FROM batchflow.workflows WHERE name = $name",
            {"name": self._tables.name},
        ).fetchall()
        if missing:
            were = "run that was" if missing == 1 else "runs that were"
            self._cannot(f"lacks {missing:,} {were} pruned, or that a load left out")
        elif self._recorded and self._version >= _FIRST_FORMAT_WITH_OPERATIONS:
            query = _LOST_CHANGES.format(**self._parts(None))
            [(lost,)] = Relation(self._source, query).fetchall()
            if lost:
                return self._problem("changes by operations that aren't in the log", lost)
        return None

    def _problem(self, what: str, count: int, samples: Iterable[object] = ()) -> Problem:
        return Problem(self._tables.name, what, count, tuple(map(str, samples)))

    def _cannot(self, clause: str) -> None:
        self.unverified.append(f"Workflow {self._tables.name!r} {clause}.")


def _declared(workflow: AnyWorkflow) -> tuple[Iterable[str], Iterable[str]]:
    """Return the declared transitions and the statuses that have a step, as texts."""
    names = workflow.status_names
    edges = [
        f"{names[step.from_code]} {status.name}"
        for step in workflow.steps.values()
        for status in step.to
    ]
    return edges, [names[code] for code in workflow.steps]


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, texts)) or "NULL"


def _sizes(source: Source) -> Iterator[TableSize]:
    tables = Relation(
        source,
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() ORDER BY ALL",
    ).fetchall()
    # One query of all tables, as each query of a closed store opens its file.
    sizes = " UNION ALL ".join(
        f"SELECT {number}, (SELECT count(*) FROM {table}), "
        f"(SELECT count(DISTINCT block_id) FROM pragma_storage_info({literal(table)}) "
        f"WHERE block_id >= 0) * block_size {_OF_DATABASE}"
        for number, table in enumerate(f"{quote(schema)}.{quote(name)}" for schema, name in tables)
    )
    for number, rows, bytes_ in Relation(source, f"{sizes} ORDER BY ALL").fetchall():
        yield TableSize(".".join(tables[number]), int(rows), int(bytes_))


_OF_DATABASE: Final = "FROM pragma_database_size() WHERE database_name = current_database()"


def _space(source: Source) -> dict[str, int]:
    query = f"SELECT total_blocks * block_size, free_blocks * block_size {_OF_DATABASE}"
    [(size, free)] = Relation(source, query).fetchall()
    return {"file_bytes": int(size), "free_bytes": int(free)}

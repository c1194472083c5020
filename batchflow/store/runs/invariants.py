"""Invariants of workflows, checked over the runs that a commit moves, in its transaction.

Like a CHECK of SQL, a condition is broken only if it is false: NULL satisfies it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.cause import Cause, Place, Raised, cause_of
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.errors import DefinitionError, InvariantBroken, QueryError
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGE, Stage, seq_range
from batchflow.store.query.known_names import require_known_names
from batchflow.store.query.permission import (
    has_subquery,
    is_one_expression,
    require_reading,
    returns_rows,
)
from batchflow.store.runs.cost_log import IN_STORE
from batchflow.store.runs.step_commit import StepCommit
from batchflow.store.schema.layout import AnyWorkflow, Layout, literal

_FINGERPRINT_CHARACTERS: Final = 16


class RunsBreakInvariantsError(Exception):
    """Some runs of a commit would break invariants, so it has to be rolled back.

    Attributes:
        broken: By workflow, the seq of each such run with the name of an invariant that it breaks.
    """

    def __init__(self, broken: Mapping[str, Mapping[int, str]]) -> None:
        super().__init__(broken)
        self.broken = broken

    def with_earlier(self, earlier: RunsBreakInvariantsError | None) -> RunsBreakInvariantsError:
        """Return the error with the runs of an earlier attempt as well."""
        if earlier is None:
            return self
        names = {*self.broken, *earlier.broken}
        return RunsBreakInvariantsError(
            {name: {**earlier.broken.get(name, {}), **self.broken.get(name, {})} for name in names}
        )


def require_sound(stage: Stage, commits: Iterable[tuple[Layout, StepCommit]]) -> None:
    """Raise RunsBreakInvariantsError if runs that these commits have moved break an invariant."""
    broken: dict[str, dict[int, str]] = {}
    for layout, commit in commits:
        if layout.workflow.invariants and commit.moved.num_rows:
            seqs = commit.moved.select(["#seq"])
            first, last = seq_range(seqs)
            chosen = f'r.seq BETWEEN {first} AND {last} AND r.seq IN (SELECT "#seq" FROM {STAGE})'
            with stage.holding(seqs) as cursor:
                found = cursor.execute(broken_among(layout, chosen)).fetchall()
            if found:
                broken.setdefault(layout.name, {}).update(found)
    if broken:
        raise RunsBreakInvariantsError(broken)


def breaks_any(cursor: Cursor, layout: Layout, seqs: tuple[int, int], now: datetime) -> bool:
    """Return whether runs with these seqs that were changed at a time break an invariant."""
    if not layout.workflow.invariants:
        return False
    first, last = seqs
    chosen = f"r.seq BETWEEN {first} AND {last} AND r.updated_at = $now"
    query = f"{broken_among(layout, chosen)} LIMIT 1"
    return bool(cursor.execute(query, {"now": now}).fetchall())


def broken_among(layout: Layout, chosen: str) -> str:
    """Return the query for the seq of each chosen run ``r`` that breaks an invariant, and which."""
    return breaking(layout.workflow.invariants, layout.runs, chosen)


def breaking(invariants: Mapping[str, str], runs: str, chosen: str = "true") -> str:
    """Return the query for the seq of each chosen row ``r`` of `runs` that breaks one, and which.

    Args:
        invariants: Conditions by name, at least one.
        runs: A table or a query in parentheses, with the columns of ``runs``.
        chosen: A condition over its rows ``r``.
    """
    which = " ".join(f"WHEN NOT (\n{sql}\n) THEN {literal(n)}" for n, sql in invariants.items())
    any_ = " OR ".join(f"NOT (\n{sql}\n)" for sql in invariants.values())
    return f"SELECT r.seq, CASE {which} END FROM {runs} AS r WHERE {chosen} AND ({any_})"


def isolated(commit: StepCommit, error: RunsBreakInvariantsError) -> StepCommit:
    """Return the commit with the runs that break an invariant failed and paused, not moved."""
    broken = error.broken.get(commit.workflow.name, {})
    if not broken:
        return commit
    seqs = pa.array(sorted(broken), pa.int64())
    tables = (commit.moved, commit.unmoved)
    every = pa.concat_arrays([t["#seq"].combine_chunks().cast(pa.int64()) for t in tables])
    if not pc.any(pc.is_in(every, value_set=seqs)).as_py():
        return commit
    others = commit.of_runs(every.filter(pc.invert(pc.is_in(every, value_set=seqs))))
    # A run that moved and then failed is in two commits; it fails in the one that moved it.
    runs = commit.moved.filter(pc.is_in(commit.moved["#seq"], value_set=seqs))
    names = [broken[seq] for seq in runs["#seq"].to_pylist()]
    return replace(
        others,
        unmoved=_joined(others.unmoved, _paused(runs, names)),
        errors=_joined(others.errors, _errors(commit, runs, names)),
        causes=(*others.causes, *(_cause(commit.workflow, name) for name in sorted(set(names)))),
    )


def _joined(rows: pa.Table, more: pa.Table) -> pa.Table:
    if not rows.num_rows:
        return more
    return pa.concat_tables([rows, more.select(rows.column_names).cast(rows.schema)])


def _paused(runs: pa.Table, names: Sequence[str]) -> pa.Table:
    attempts = runs["#attempt"].to_numpy()
    count = runs.num_rows
    added = {
        "#next_attempt": pa.array((attempts + 1).astype(np.int32)),
        "#outcome": pa.array(np.full(count, Outcome.FAILED, np.uint8)),
        "#run_state": pa.array(np.full(count, RunState.PAUSED, np.uint8)),
        "#next_attempt_at": pa.nulls(count, pa.timestamp("us", "UTC")),
        "#reason": pa.array([f"it would break the invariant {name!r}" for name in names]),
    }
    claimed = {name: runs[name] for name in ("#seq", "#version", "#attempt")}
    return pa.table({**claimed, **added})


def _errors(commit: StepCommit, runs: pa.Table, names: Sequence[str]) -> pa.Table:
    workflow, count = commit.workflow, runs.num_rows
    traceback = f"in the commit of step {commit.step.name!r}"
    texts = {
        "type": [InvariantBroken.__name__] * count,
        "message": [_message(workflow, name) for name in names],
        "traceback": [traceback] * count,
        "fingerprint": [_fingerprint(name) for name in names],
        "cause": [_cause(workflow, name).id for name in names],
        "worker": [IN_STORE] * count,
    }
    columns = {name: pa.array(text, pa.string()) for name, text in texts.items()}
    columns |= {"chunk": pa.nulls(count, pa.int64()), "seconds": pa.nulls(count, pa.float64())}
    return pa.table({"#seq": runs["#seq"], "#attempt": runs["#attempt"], **columns})


def _message(workflow: AnyWorkflow, name: str) -> str:
    return f"The run would break the invariant {name!r}: {workflow.invariants[name]}"


def _cause(workflow: AnyWorkflow, name: str) -> Cause:
    place = Place("invariant", name, 1, workflow.invariants[name])
    return cause_of(Raised(InvariantBroken.__name__, _message(workflow, name), place))


def _fingerprint(name: str) -> str:
    digest = hashlib.sha256(f"{InvariantBroken.__qualname__}\n{name}".encode())
    return digest.hexdigest()[:_FINGERPRINT_CHARACTERS]


def refuse_unbindable_invariants(cursor: Cursor, layouts: Iterable[Layout]) -> None:
    """Raise DefinitionError if a condition isn't one over the columns of runs."""
    problems = [problem for layout in layouts for problem in _problems(cursor, layout)]
    if problems:
        raise DefinitionError(problems=problems)


def _problems(cursor: Cursor, layout: Layout) -> Iterator[str]:
    for name, condition in layout.workflow.invariants.items():
        found = _problem(cursor, layout, condition)
        if found is not None:
            yield (
                f"Workflow {layout.name!r}: the condition of the invariant {name!r} can't be "
                f"executed: {found}. Give one over the columns {', '.join(layout.column_names)}."
            )


def _problem(cursor: Cursor, layout: Layout, condition: str) -> str | None:
    try:
        if not is_one_expression(condition) or returns_rows(condition):
            return "it is not one SQL expression"
        require_reading(f"SELECT (\n{condition}\n)")
        if has_subquery(condition):
            return "it has a subquery"
        require_known_names(condition, layout, None)
        rows = cursor.execute(
            f"SELECT typeof((\n{condition}\n)) FROM (SELECT 1) LEFT JOIN {layout.runs} ON false"
        ).fetchall()
    except QueryError as error:
        return error.found
    except duckdb.Error as error:
        return message_of(error)
    kind = rows[0][0]
    return None if kind in ("BOOLEAN", '"NULL"') else f"its type is {kind} instead of BOOLEAN"

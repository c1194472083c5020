"""Rehearsing: the steps of a workflow are executed for copies of runs, in a store of their own."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pyarrow as pa

from batchflow.closest_name import did_you_mean
from batchflow.definition.outcome import Outcome
from batchflow.engine.copies_folder import CopiesFolder
from batchflow.engine.rehearsal import (
    Copies,
    Rehearsal,
    RehearsedFailure,
    RehearsedField,
    RehearsedMove,
)
from batchflow.errors import EngineStateError, InvalidOptionError, StoreFormatError
from batchflow.operation.parameters import Params
from batchflow.store import Store
from batchflow.store.runs.copied import BEFORE
from batchflow.store.runs.invariants import breaking
from batchflow.store.runs.promote import BEFORE_VERSION, Promoted
from batchflow.store.runs.retry import IN_PROGRESS
from batchflow.store.schema.layout import literal, quote

if TYPE_CHECKING:
    from batchflow.clock import Clock
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.engine import Engine
    from batchflow.operation import ControlReport
    from batchflow.store.query.questions import Questions

_FILE: Final = "copies.duckdb"
_REASON: Final = "rehearsed"
_SAMPLES: Final = 3
_MOST_FAILURES: Final = 20
# The columns of `_MOVED` before those of the fields.
_ENGINE_COLUMNS: Final = 8
_NOT_ERASED: Final = "run_state NOT IN ('REQUESTED_DATA_DELETED', 'DATA_DELETED')"
_REMEDY: Final = "Open the store with the changed workflow, then rehearse and promote there."

# A run that failed and isn't paused waits for a retry.
_STATE: Final = (
    "CASE WHEN {of}.run_state IN ('INITIATED', 'RUNNING') AND {of}.attempt > 1 THEN 'failing' "
    "ELSE lower({of}.run_state::VARCHAR) END"
)
_MATRIX: Final = f"""
    SELECT b.status::VARCHAR, {_STATE.format(of="b")}, r.status::VARCHAR, {_STATE.format(of="r")},
           count(*)
    FROM {{runs}} AS r JOIN {BEFORE} AS b USING (seq)
    GROUP BY b.status, 2, r.status, 4
    ORDER BY b.status, 2, r.status, 4"""
_FIELD: Final = """
    SELECT count(*), min_by({{'id': r.foreign_id, 'b': b.{name}::VARCHAR, 'a': r.{name}::VARCHAR}},
                            seq, {samples})
    FROM {runs} AS r JOIN {before} AS b USING (seq) WHERE r.{name} IS DISTINCT FROM b.{name}"""
# A field that only the changed workflow has.
_NEW_FIELD: Final = """
    SELECT count(*), min_by({{'id': r.foreign_id, 'b': NULL::VARCHAR, 'a': r.{name}::VARCHAR}},
                            seq, {samples})
    FROM {runs} AS r WHERE r.{name} IS NOT NULL"""
_SAME: Final = f"""
    SELECT count(*) FILTER (r.status::VARCHAR = b.status::VARCHAR
                            AND r.run_state = b.run_state AND {{same}}), count(*)
    FROM {{runs}} AS r JOIN {BEFORE} AS b USING (seq)"""
_MOVED: Final = f"""
    SELECT r.seq, b.version AS {quote(BEFORE_VERSION)}, r.status, r.run_state, r.version, r.attempt,
           r.next_attempt_at, r.reason{{fields}}
    FROM {{runs}} AS r JOIN {BEFORE} AS b USING (seq) WHERE r.version <> b.version"""

_CHANGED: Final = f"""
    (SELECT r.* FROM {{runs}} AS r JOIN {BEFORE} AS b USING (seq)
     WHERE NOT (r.status::VARCHAR = b.status::VARCHAR AND {{same}}))"""

# Its reason says why the runs were put back in the store.
_LOG: Final = """
    SELECT * REPLACE (CASE WHEN outcome IN ('retried', 'edited') THEN ? ELSE reason END AS reason)
    FROM {schema}.transitions"""


@dataclass(frozen=True, kw_only=True)
class RehearsalPlan:
    """The runs to rehearse with, and what is done to their copies.

    Attributes:
        where: The predicate that chooses the runs; there is no default, as for other changes.
        params: The values of its parameters.
        workflow: The workflow whose steps are executed.
        at: The status where all of them begin; None is their own.
        until: The status where they stay; None executes all steps.
        reset: Fields that are set before the first step, as SQL expressions over the runs.
        stand_ins: The functions that are called in place of steps, by the names of the steps.
    """

    where: str | None
    params: Params
    workflow: AnyWorkflow
    at: enum.Enum | str | None = None
    until: enum.Enum | str | None = None
    reset: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def rehearse(
    questions: Questions,
    plan: RehearsalPlan,
    clock: Clock,
    open_engine: Callable[[Path, AnyWorkflow], Engine],
    promote: Callable[[str, Promoted], ControlReport],
) -> Rehearsal:
    """Execute steps for copies of runs, and compare the copies with the runs.

    Args:
        questions: Where the runs are.
        plan: The runs, and what is done to their copies.
        clock: The present time.
        open_engine: Opens an engine on the store with the copies.
        promote: Stores the outcome for the workflow with a name.

    Raises:
        InvalidOptionError: A step has side effects and no stand-in, or an option is invalid.
        QueryError: The predicate can't be executed.
    """
    _require_fields(plan)
    if plan.where is None:
        raise InvalidOptionError(
            'where chooses no runs; give a predicate, such as where="true" for all.', option="where"
        )
    until = None if plan.until is None else _code(plan, plan.until)
    stored = _definition(questions, plan)
    recorded = stored.record_transitions
    workflow = plan.workflow.rehearsed(until, plan.stand_ins, record_transitions=recorded)
    folder = CopiesFolder()
    path = folder.path / _FILE
    try:
        _copy(questions, plan, stored, path, clock)
        with open_engine(path, workflow) as engine:
            _require_steps_before(engine, plan, until)
            _require_stand_ins(engine, plan, workflow)
            figures = _rehearsed(engine, plan, stored)
    except BaseException:
        folder.remove()
        raise

    def promoted(reason: str) -> ControlReport:
        folder.require()
        if plan.stand_ins:
            raise EngineStateError(
                "A rehearsal with stand-ins can't be promoted, because the effects of their steps "
                "weren't made; retry the runs instead."
            )
        with open_engine(path, workflow) as engine:
            outcome = _outcome(engine, plan, workflow, figures, reason)
        return promote(workflow.name, outcome)

    return Rehearsal(copies=Copies(folder.remove, promoted), **figures)


def _require_fields(plan: RehearsalPlan) -> None:
    names = [field.name for field in plan.workflow.fields]
    for name in plan.reset:
        if name not in names:
            raise InvalidOptionError(
                f"reset names {name!r}, which is no field of workflow {plan.workflow.name!r}."
                f"{did_you_mean(name, names)} Its fields are: {', '.join(names)}.",
                option="reset",
            )


def _definition(questions: Questions, plan: RehearsalPlan) -> AnyWorkflow:
    """Return the workflow as the runs' store has it."""
    try:
        return questions._catalog.definition(plan.workflow.name)
    except StoreFormatError:
        return plan.workflow


def _copy(
    questions: Questions, plan: RehearsalPlan, stored: AnyWorkflow, path: Path, clock: Clock
) -> None:
    """Make a store with copies of the runs, with the workflow as the runs' store has it."""
    name = plan.workflow.name
    base = questions._catalog.tables(name)[name].run_id_base
    store = Store.open(path, [stored], clock=clock.now, run_id_base=base)
    try:
        rows = questions.runs(plan.where, plan.params, workflow=name).to_arrow_reader()
        if not store.copy_runs(stored, rows):
            raise InvalidOptionError(
                f"The predicate chooses none of the runs of {name!r}, so there is nothing to "
                "rehearse; choose some.",
                option="where",
            )
    finally:
        store.close()


def _begins(engine: Engine, plan: RehearsalPlan) -> set[int]:
    """Return the statuses where the copies begin."""
    if plan.at is not None:
        return {_code(plan, plan.at)}
    names = engine.runs(_NOT_ERASED).aggregate("status::VARCHAR").fetchall()
    return {_code(plan, status) for (status,) in names}


def _require_steps_before(engine: Engine, plan: RehearsalPlan, until: int | None) -> None:
    """Raise InvalidOptionError if copies would pass the status where they stay, or all are there.

    Args:
        engine: The engine on the copies.
        plan: What is done to them.
        until: The code of the status where they stay.
    """
    if until is None:
        return
    workflow = plan.workflow
    end = workflow.status_names[until]
    begins = (_begins(engine, plan) & workflow.steps.keys()) - {until}
    if not begins:
        raise InvalidOptionError(
            f"No step would be executed, because none of the runs begins at a status with a step "
            f"before {end} (until). Leave out until, or give an earlier status as at.",
            option="until",
        )
    for begin in sorted(begins):
        if until not in workflow.graph.reachable_from(frozenset({begin})):
            raise InvalidOptionError(
                f"Runs that begin at {workflow.status_names[begin]} never come to {end} (until), "
                "so they wouldn't stay there. Choose others with where, or give a later status as "
                "until.",
                option="until",
            )


def _require_stand_ins(engine: Engine, plan: RehearsalPlan, workflow: AnyWorkflow) -> None:
    """Raise InvalidOptionError if a step that may be executed has side effects and no stand-in."""
    reached = workflow.graph.reachable_from(frozenset(_begins(engine, plan)))
    for code in sorted(reached & workflow.steps.keys()):
        step = workflow.steps[code]
        if step.options.side_effects and step.name not in plan.stand_ins:
            raise InvalidOptionError(
                f"Step {step.name!r} has side effects, so it isn't rehearsed. Give a function that "
                f"is called in its place with stand_ins=, or end before it with "
                f'until="{step.from_status.name}".',
                option="stand_ins",
            )


def _rehearsed(engine: Engine, plan: RehearsalPlan, stored: AnyWorkflow) -> dict[str, Any]:
    """Put the copies back, execute the steps, and compare the copies with the runs."""
    where = "true"
    if plan.at is None and plan.until is not None:
        # Those that are where they stay aren't put back.
        stays = plan.workflow.status_names[_code(plan, plan.until)]
        where = f"status <> {literal(stays)}"
    retried = engine.retry(where, at=plan.at, reason=_REASON)
    if plan.reset:
        engine.edit("true", set=plan.reset, reason=_REASON)
    report = engine.run(progress=False)
    [name] = engine.workflows
    runs = f"{quote(name)}.runs"
    columns = engine.sql(f"SELECT * FROM {BEFORE}").columns
    fields = {each.column: each.column in columns for each in plan.workflow.fields}
    common = [name for name, is_stored in fields.items() if is_stored]
    same_fields = [f"r.{quote(each)} IS NOT DISTINCT FROM b.{quote(each)}" for each in common]
    equal = " AND ".join(same_fields) or "true"
    [(same, chosen)] = engine.sql(_SAME.format(runs=runs, same=equal)).fetchall()
    failures = engine.errors().select("description", "runs", "message").limit(_MOST_FAILURES)
    return {
        "workflow": name,
        "runs": chosen,
        "executed": sum(step.runs for step in report.steps),
        "same": same,
        "refused": _really_refused(retried.refusals),
        "matrix": tuple(_moves(engine, plan, runs)),
        "fields": _changed_fields(engine, runs, fields),
        "failures": tuple(RehearsedFailure(*row) for row in failures.fetchall()),
        "broken": _broken(engine, plan, stored, _CHANGED.format(runs=runs, same=equal)),
        "seconds": report.seconds,
    }


def _moves(engine: Engine, plan: RehearsalPlan, runs: str) -> Iterator[RehearsedMove]:
    names = _names_with_step(plan)
    for row in engine.sql(_MATRIX.format(runs=runs)).fetchall():
        move = RehearsedMove(*row)
        # Without its step, the status of `until` is terminal for the copies.
        ended = move.to_status in names and move.to_state == "completed"
        yield replace(move, to_state="running") if ended else move


def _names_with_step(plan: RehearsalPlan) -> list[str]:
    return [step.from_status.name for step in plan.workflow.steps.values()]


def _code(plan: RehearsalPlan, status: enum.Enum | str) -> int:
    return plan.workflow.code_of(status)


def _really_refused(refusals: Mapping[str, int]) -> dict[str, int]:
    # Runs that would have continued by themselves need not be put back.
    return {why: runs for why, runs in refusals.items() if why != IN_PROGRESS}


def _broken(
    engine: Engine, plan: RehearsalPlan, stored: AnyWorkflow, changed: str
) -> dict[str, int]:
    """Count the copies that break invariants which the rehearsed workflow lacks."""
    known = plan.workflow.invariants
    lacking = {name: sql for name, sql in stored.invariants.items() if known.get(name) != sql}
    if not lacking:
        return {}
    query = f"SELECT invariant, count(*) FROM ({breaking(lacking, changed)}) AS b(seq, invariant)"
    return dict(engine.sql(f"{query} GROUP BY invariant ORDER BY invariant").fetchall())


def _changed_fields(
    engine: Engine, runs: str, fields: Mapping[str, bool]
) -> tuple[RehearsedField, ...]:
    """Compare fields with the stored ones, if they are stored."""
    found = []
    for name, is_stored in fields.items():
        query = (_FIELD if is_stored else _NEW_FIELD).format(
            name=quote(name), runs=runs, before=BEFORE, samples=_SAMPLES
        )
        [(count, samples)] = engine.sql(query).fetchall()
        if count:
            pairs = tuple((each["id"], each["b"], each["a"]) for each in samples)
            found.append(RehearsedField(name, count, pairs))
    return tuple(sorted(found, key=lambda each: -each.runs))


def _outcome(
    engine: Engine,
    plan: RehearsalPlan,
    workflow: AnyWorkflow,
    figures: Mapping[str, Any],
    reason: str,
) -> Promoted:
    """Return what the copies became, as it is stored for the runs."""
    [name] = engine.workflows
    schema = quote(name)
    fields = "".join(f", r.{quote(each.field)}" for each in figures["fields"])
    runs = engine.sql(_MOVED.format(runs=f"{schema}.runs", fields=fields)).to_arrow_table()
    transitions = None
    moves = _declared_moves(workflow)
    if workflow.record_transitions:
        recorded = engine.sql(_LOG.format(schema=schema), [reason]).to_arrow_table()
        transitions = _continuing(recorded, "to_status", plan)
        moves = _moves_of_steps(transitions)
    return Promoted(
        runs=_continuing(runs, "status", plan),
        transitions=transitions,
        moves=moves,
        errors=engine.sql(f"FROM {schema}.errors").to_arrow_table(),
        causes=engine.sql("FROM batchflow.causes").to_arrow_table(),
        reason=reason,
        unmoved=figures["runs"] - runs.num_rows,
    )


def _continuing(rows: pa.Table, status: str, plan: RehearsalPlan) -> pa.Table:
    """Return rows in which runs that ended at a status with a step are running."""
    import pyarrow.compute as pc

    names = _names_with_step(plan)
    state = rows["run_state"].cast("string")
    stopped = pc.and_(
        pc.equal(state, "COMPLETED"),
        pc.is_in(rows[status].cast("string"), value_set=pa.array(names)),
    )
    at = rows.schema.get_field_index("run_state")
    return rows.set_column(at, "run_state", pc.if_else(stopped, "RUNNING", state))


def require_declared(workflow: AnyWorkflow, promoted: Promoted) -> None:
    """Raise EngineStateError unless the store has all fields, statuses and moves of a rehearsal."""
    known = {each.column for each in workflow.fields}
    fields = [name for name in promoted.runs.column_names[_ENGINE_COLUMNS:] if name not in known]
    if fields:
        raise EngineStateError(
            f"The rehearsal changed the field {fields[0]!r}, which the engine's workflow doesn't "
            f"have. {_REMEDY}"
        )
    statuses = set(promoted.runs["status"].cast("string").unique().to_pylist())
    unknown = statuses - set(workflow.status_names)
    if unknown:
        raise EngineStateError(
            f"Runs are at {min(unknown)} after the rehearsal, and the engine's workflow has no "
            f"such status. {_REMEDY}"
        )
    lacking = promoted.moves - _declared_moves(workflow)
    if lacking:
        begin, end = min(lacking)
        did = "went" if promoted.transitions is not None else "may have gone"
        raise EngineStateError(
            f"Runs {did} from {begin} to {end} in the rehearsal, and the engine's workflow "
            f"has no such step. {_REMEDY}"
        )


def _declared_moves(workflow: AnyWorkflow) -> frozenset[tuple[str, str]]:
    names = workflow.status_names
    steps = workflow.steps.items()
    return frozenset((names[at], names[to]) for at, step in steps for to in step.to_codes)


def _moves_of_steps(transitions: pa.Table) -> frozenset[tuple[str, str]]:
    moves = transitions.group_by(["outcome", "from_status", "to_status"]).aggregate([])
    return frozenset(
        (row["from_status"], row["to_status"])
        for row in moves.to_pylist()
        if row["outcome"] == Outcome.ADVANCED.name.lower()
    )


def sql_literal(name: str, value: Any) -> str:
    """Return a value of a field as SQL.

    Raises:
        InvalidOptionError: There is no SQL for such a value.
    """
    match value:
        case None:
            return "NULL"
        case enum.Enum():
            return literal(value.name)
        case bool() | int() | Decimal():
            return str(value)
        case float():
            return f"{literal(repr(value))}::DOUBLE"
        case str() | date() | UUID():
            return literal(str(value))
    raise InvalidOptionError(
        f"reset has a value of type {type(value).__name__} for {name!r}; give None, a truth value, "
        "a number, a text, a date or time, a UUID, or a member of an enum.",
        option="reset",
    )

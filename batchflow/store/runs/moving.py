"""The statements of a commit: they update the runs and record their transitions and errors.

Each reads ``batchflow_stage AS s``. It names only the columns that change, because a commit's time
grows with the bytes that it writes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.definition.step import Step
from batchflow.store.database.staging import STAGE, codes_in, named, seq_range
from batchflow.store.schema.layout import (
    OUTCOME_TYPE,
    RUN_STATE_TYPE,
    Layout,
    literal,
    quote,
)

RUN_STATES = {int(state): literal(state.name) for state in RunState}
OUTCOMES = {int(outcome): literal(outcome.name.lower()) for outcome in Outcome if outcome.recorded}
# A run that moves starts anew with its first attempt.
RESET_ATTEMPT = ("attempt = 1", "next_attempt_at = NULL", "reason = NULL")
TRANSITION_COLUMNS = (
    "seq, from_status, to_status, outcome, run_state, attempt, version, committed_at"
)
ERROR_COLUMNS = (
    "seq, status, step, attempt, type, message, traceback, fingerprint, committed_at, cause, "
    "worker, chunk, seconds"
)


def as_claimed(layout: Layout, step: Step, table: pa.Table) -> str:
    """Return the condition that ``r`` hasn't changed since `table` was claimed."""
    first, last = seq_range(table)
    return (
        f'r.seq = s."#seq" AND r.version = {_version(table)} '
        f"AND r.status = {layout.status(step.from_code)} AND r.seq BETWEEN {first} AND {last}"
    )


def update_moved(layout: Layout, step: Step, moved: pa.Table) -> str:
    """Return the update of the runs that advanced or repeated."""
    if not moved.num_rows:
        return ""
    return _update(layout, step, moved, _moved_assignments(layout, moved))


def update_unmoved(layout: Layout, step: Step, unmoved: pa.Table) -> str:
    """Return the update of the runs that failed, or were paused or cancelled."""
    if not unmoved.num_rows:
        return ""
    run_state = named('s."#run_state"', codes_in(unmoved, "#run_state"), RUN_STATES, RUN_STATE_TYPE)
    assignments = (
        f"run_state = {run_state}",
        'attempt = s."#next_attempt"',
        'next_attempt_at = s."#next_attempt_at"',
        'reason = s."#reason"',
    )
    return _update(layout, step, unmoved, assignments)


def insert_moves(layout: Layout, step: Step, moves: pa.Table) -> str:
    """Return the insert of the transitions of runs that advanced or repeated.

    They are of several steps if they have a column ``#from``.
    """
    if not moves.num_rows:
        return ""
    table = layout.transitions_without_reason
    run_state = _state_after(layout, codes_in(moves, "#to"))
    values = _transition_values(layout, step, moves, _status_after(layout, moves), run_state)
    return f"INSERT INTO {table} ({TRANSITION_COLUMNS}) SELECT {values} FROM {STAGE} AS s"


def insert_unmoved_transitions(layout: Layout, step: Step, unmoved: pa.Table) -> Iterator[str]:
    """Yield the inserts of the transitions of runs that failed, or were paused or cancelled."""
    if not unmoved.num_rows:
        return
    run_state = named('s."#run_state"', codes_in(unmoved, "#run_state"), RUN_STATES, RUN_STATE_TYPE)
    values = _transition_values(layout, step, unmoved, layout.status(step.from_code), run_state)
    with_reason = unmoved.num_rows - unmoved["#reason"].null_count
    if with_reason < unmoved.num_rows:
        yield (
            f"INSERT INTO {layout.transitions_without_reason} ({TRANSITION_COLUMNS}) "
            f'SELECT {values} FROM {STAGE} AS s WHERE s."#reason" IS NULL'
        )
    if with_reason:
        yield (
            f"INSERT INTO {layout.transitions_with_reason} ({TRANSITION_COLUMNS}, reason) "
            f'SELECT {values}, s."#reason" FROM {STAGE} AS s WHERE s."#reason" IS NOT NULL'
        )


def insert_errors(layout: Layout, step: Step) -> str:
    """Return the insert of the errors."""
    return (
        f"INSERT INTO {layout.errors} ({ERROR_COLUMNS}) "
        f'SELECT "#seq", {layout.status(step.from_code)}, {literal(step.name)}, "#attempt", '
        "type, message, traceback, fingerprint, $now, cause, worker, chunk, seconds "
        f"FROM {STAGE}"
    )


def _update(
    layout: Layout, step: Step, table: pa.Table, assignments: Iterator[str] | tuple[str, ...]
) -> str:
    version = f"{_version(table)} + {_moves(table)}"
    every = ", ".join([f"version = {version}", "updated_at = $now", *assignments])
    return (
        f"UPDATE {layout.runs} AS r SET {every} FROM {STAGE} AS s "
        f"WHERE {as_claimed(layout, step, table)}"
    )


def _moved_assignments(layout: Layout, moved: pa.Table) -> Iterator[str]:
    to_codes = codes_in(moved, "#to")
    yield f"status = {_status_after(layout, moved)}"
    if RunState.INITIATED in codes_in(moved, "#run_state") or _ends_any(layout, to_codes):
        yield f"run_state = {_state_after(layout, to_codes)}"
    if _was_retried(moved):
        yield from RESET_ATTEMPT
    for field in layout.fields:
        if field.name in moved.column_names:
            yield f"{quote(field.column)} = {_value_after(moved, field.name, field.column)}"


def _status_after(layout: Layout, moved: pa.Table) -> str:
    to_codes = codes_in(moved, "#to")
    names = {code: layout.status(code) for code in to_codes}
    return named('s."#to"', to_codes, names, layout.status_type)


def _status_before(layout: Layout, step: Step, moves: pa.Table) -> str:
    if "#from" not in moves.column_names:
        return layout.status(step.from_code)
    codes = codes_in(moves, "#from")
    names = {code: layout.status(code) for code in codes}
    return named('s."#from"', codes, names, layout.status_type)


def _ends_any(layout: Layout, to_codes: tuple[int, ...]) -> bool:
    return not layout.workflow.terminal_codes.isdisjoint(to_codes)


def _state_after(layout: Layout, to_codes: tuple[int, ...]) -> str:
    terminal = layout.workflow.terminal_codes
    ends = {code: RunState.COMPLETED if code in terminal else RunState.RUNNING for code in to_codes}
    if len(set(ends.values())) == 1:
        return RUN_STATES[ends[to_codes[0]]]
    names = {code: RUN_STATES[state] for code, state in ends.items()}
    return named('s."#to"', to_codes, names, RUN_STATE_TYPE)


def _version(table: pa.Table) -> str:
    """Return the version as claimed: a constant if the runs share it, as they mostly do."""
    return _shared(table, "#version")


def _shared(table: pa.Table, column: str) -> str:
    bounds = pc.min_max(table[column]).as_py()
    return str(bounds["min"]) if bounds["min"] == bounds["max"] else f"s.{quote(column)}"


def _moves(table: pa.Table) -> str:
    """Return the number of the runs' transitions, likewise."""
    return _shared(table, "#moves") if "#moves" in table.column_names else "1"


def _was_retried(table: pa.Table) -> bool:
    return bool(pc.max(table["#attempt"]).as_py() > 1)


def _value_after(moved: pa.Table, name: str, column: str) -> str:
    mask = f"#set:{name}"
    value = f"s.{quote(name)}"
    if mask not in moved.column_names:
        return value
    return f"CASE WHEN s.{quote(mask)} THEN {value} ELSE r.{quote(column)} END"


def _transition_values(
    layout: Layout, step: Step, table: pa.Table, to_status: str, run_state: str
) -> str:
    outcome = named('s."#outcome"', codes_in(table, "#outcome"), OUTCOMES, OUTCOME_TYPE)
    attempt = 's."#attempt"' if _was_retried(table) else "1"
    return (
        f's."#seq", {_status_before(layout, step, table)}, {to_status}, {outcome}, {run_state}, '
        f"{attempt}, {_version(table)} + 1, $now"
    )

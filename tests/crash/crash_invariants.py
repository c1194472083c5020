"""Invariants of a store that hold whenever it is opened, however its engine ended."""

from __future__ import annotations

from collections.abc import Iterator

from crash_workflow import STEPS, Stage

import batchflow as bf
from batchflow.definition.run_state import ALLOWED, RunState

LOAD_ROWS = 20
SHOWN = 5

# The transitions of the SQL steps, stated independently of their definition.
EDGES = {
    *((start, to) for _, start, ends in STEPS.values() for to in ends),
    (Stage.PRICED, Stage.CHECKED),
    (Stage.PRICED, Stage.DONE),
    (Stage.CHECKED, Stage.DONE),
}


def _values(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(f"('{start}', '{to}')" for start, to in pairs)


TABLES = f"""
WITH edges(a, b) AS (VALUES {_values([(start.name, to.name) for start, to in EDGES])}),
states(a, b) AS (VALUES {
    _values([(a.name, b.name) for a in RunState for b in RunState if ALLOWED[a, b]])
}),
log AS (
    SELECT seq, version, outcome::VARCHAR AS outcome, attempt, committed_at,
           from_status::VARCHAR AS start, to_status::VARCHAR AS stop, run_state::VARCHAR AS state,
           lag(version, 1, 1) OVER one AS version_before,
           lag(to_status::VARCHAR, 1, 'NEW') OVER one AS stop_before,
           lag(run_state::VARCHAR, 1, 'INITIATED') OVER one AS state_before,
           lead(version) OVER one IS NULL AS is_last
    FROM things.transitions WINDOW one AS (PARTITION BY seq ORDER BY version)
)
"""

# Each query selects rows that must not exist.
BROKEN = {
    "a run that is there twice": """
        SELECT foreign_id, count(*) FROM things.runs GROUP BY ALL HAVING count(*) > 1""",
    "a load of which a part is there": f"""
        SELECT number // {LOAD_ROWS} AS load, count(*) FROM things.runs
        GROUP BY ALL HAVING count(*) <> {LOAD_ROWS}""",
    "a run with a seq that is yet to be given": """
        SELECT seq FROM things.runs
        WHERE seq >= (SELECT next_seq FROM batchflow.workflows WHERE name = 'things')""",
    "a run that moved twice from one version": """
        SELECT seq, version, count(*) FROM log GROUP BY ALL HAVING count(*) > 1""",
    "a move that isn't from where the one before it led": """
        SELECT seq, version FROM log WHERE version <> version_before + 1 OR start <> stop_before""",
    "a run that isn't where its log ends": """
        SELECT r.seq, r.status, r.run_state, r.version, log
        FROM things.runs AS r LEFT JOIN log ON log.seq = r.seq AND log.is_last
        WHERE r.version <> coalesce(log.version, 1)
           OR r.status::VARCHAR <> coalesce(log.stop, 'NEW')
           OR r.run_state::VARCHAR <> coalesce(log.state, 'INITIATED')""",
    "a log without its run": """
        SELECT seq, version FROM log WHERE seq NOT IN (SELECT seq FROM things.runs)""",
    "a move that no step may make": """
        SELECT seq, version, start, stop, outcome FROM log
        WHERE CASE WHEN outcome = 'advanced' THEN (start, stop) NOT IN (SELECT (a, b) FROM edges)
              ELSE start <> stop END""",
    "a change of run state that isn't allowed": """
        SELECT seq, version, state_before, state FROM log
        WHERE state <> state_before AND (state_before, state) NOT IN (SELECT (a, b) FROM states)
          AND NOT (state_before = 'INITIATED' AND state = 'COMPLETED')""",
    "a failure without its error, or an error without its failure": """
        SELECT t.seq, e.seq, t.attempt, e.type
        FROM (FROM log WHERE outcome = 'failed') AS t
        FULL JOIN things.errors AS e
          ON e.seq = t.seq AND e.attempt = t.attempt AND e.committed_at = t.committed_at
        WHERE e.seq IS NULL OR t.seq IS NULL""",
}


def broken(engine: bf.Engine) -> Iterator[str]:
    """Yield a line for each broken invariant."""
    for what, query in BROKEN.items():
        found = engine.sql(f"{TABLES} FROM ({query}) LIMIT {SHOWN}").fetchall()
        if found:
            yield f"there is {what}: {found}"


def lost(engine: bf.Engine, acknowledged_moves: int, acknowledged_loads: set[int]) -> Iterator[str]:
    """Yield a line for data that was reported as stored and is missing."""
    moves = moves_in(engine)
    if moves < acknowledged_moves:
        yield f"{acknowledged_moves} moves were committed, and {moves} are there"
    missing = acknowledged_loads - loads_in(engine)
    if missing:
        yield f"loads {sorted(missing)} were committed, and aren't there"


def moves_in(engine: bf.Engine) -> int:
    [(moves,)] = engine.sql("SELECT count(*) FROM things.transitions").fetchall()
    return int(moves)


def loads_in(engine: bf.Engine) -> set[int]:
    found = engine.sql(f"SELECT DISTINCT number // {LOAD_ROWS} FROM things.runs").fetchall()
    return {int(load) for (load,) in found}

"""The expected end of each run: as without disturbance, except for runs with a fault."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from crash_faults import Aim
from crash_workflow import PAUSE_AFTER, STEPS, Stage, Thing, build

import batchflow as bf
from batchflow.testing import inline_engine

# The signal that kills workers from outside, and the cause if it kills their fork server. No run is
# chosen; any run may fail because of it.
FROM_OUTSIDE = re.compile("SIGKILL|the fork server, the process")
COLUMNS = "number, status::VARCHAR, run_state::VARCHAR, looks, visits, total, label, tags"

Ends = dict[int, tuple[Any, ...]]
"""The status, run state and fields of each number."""


def undisturbed(runs: int) -> Ends:
    """Return the ends of the runs without disturbance."""
    with inline_engine(build()) as engine:
        engine.trigger_many([Thing(number) for number in range(runs)], foreign_id="number")
        engine.run()
        return ends(engine)


def ends(engine: bf.Engine) -> Ends:
    return {row[0]: row[1:] for row in engine.runs().select(COLUMNS).fetchall()}


def draw_cancelled(chance: random.Random, runs: int, aims: Sequence[Aim]) -> frozenset[int]:
    """Return some runs to cancel during a drain; none of those with a fault."""
    aimed = {aim.number for aim in aims}
    return frozenset(
        number for number in chance.sample(range(runs), runs // 50) if number not in aimed
    )


def differences(
    engine: bf.Engine, expected: Ends, aims: Sequence[Aim], cancelled: Collection[int]
) -> Iterator[str]:
    """Yield a line for each run with another end than expected."""
    found = ends(engine)
    lasting = {aim.number: aim for aim in aims if not aim.passing}
    unlucky = {number for number, failures in _failed_from_outside(engine).items() if failures > 1}
    if found.keys() != expected.keys():
        yield f"runs are missing or too many: {sorted(found.keys() ^ expected.keys())}"
    for number, end in found.items():
        if number in lasting:
            yield from _unlike_paused(lasting[number], end)
        elif number in unlucky and end[1] == "PAUSED":
            # It was alone in its worker each time the driver killed that worker.
            continue
        elif end != expected.get(number) and not _is_cancelled(end, number in cancelled):
            yield f"run {number} became {end} rather than {expected.get(number)}"
    yield from _strange_errors(engine, {aim.number: aim for aim in aims})


def _is_cancelled(end: tuple[Any, ...], chosen: bool) -> bool:
    return chosen and end[1] == "CANCELLED"


def _unlike_paused(aim: Aim, end: tuple[Any, ...]) -> Iterator[str]:
    if end[:2] != (_stage_of(aim).name, "PAUSED"):
        yield f"{aim} became {end}"


def _stage_of(aim: Aim) -> Stage:
    return STEPS[aim.step][1] if aim.step in STEPS else Stage.PRICED


def _strange_errors(engine: bf.Engine, aims: dict[int, Aim]) -> Iterator[str]:
    query = """
        SELECT r.number, e.status::VARCHAR, e.attempt, e.type, e.message, r.reason
        FROM things.errors AS e JOIN things.runs AS r ON r.seq = e.seq"""
    struck = set()
    for number, status, attempt, error, message, reason in engine.sql(query).fetchall():
        aim = aims.get(number)
        if aim is not None and _is_of(aim, status, attempt, error, message):
            struck.add(number)
            if not aim.passing and attempt == PAUSE_AFTER and aim.error not in (reason or ""):
                yield f"{aim} is paused because it {reason}"
        elif not FROM_OUTSIDE.search(message):
            yield f"run {number} at {status} failed with {error} ({message}), and {aim} was aimed"
    missed = aims.keys() - struck - _failed_from_outside(engine).keys()
    if missed:
        yield f"nothing is recorded of {[aims[number] for number in sorted(missed)]}"


def _is_of(aim: Aim, status: str, attempt: int, error: str, message: str) -> bool:
    expected = status == _stage_of(aim).name and error == aim.error
    return expected and (attempt == 1 or not aim.passing) and not FROM_OUTSIDE.search(message)


def _failed_from_outside(engine: bf.Engine) -> dict[int, int]:
    """Return how often each run failed because the driver killed its worker."""
    rows = engine.sql(
        "SELECT r.number, count(*) FROM things.errors AS e JOIN things.runs AS r USING (seq) "
        f"WHERE regexp_matches(e.message, '{FROM_OUTSIDE.pattern}') GROUP BY ALL"
    ).fetchall()
    return dict(rows)

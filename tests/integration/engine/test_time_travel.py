"""The statuses and run states that runs had at a moment, and what moved between two moments."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

import batchflow as bf
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.testing import FakeClock
from kit.effort import examples
from kit.things import Stage, Thing, load, things

WAIT_SECONDS = 5.0


class Place(enum.Enum):
    NEW = 1
    MIDDLE = 2
    DONE = 3
    REFUSED = 4


@dataclass
class Letter:
    number: int
    weight: int = 0


def sort(run: bf.Run[Letter, Place]) -> Any:
    number = run.object.number
    if number % 5 == 0 and run.attempt == 1:
        raise ValueError("it is torn")
    if number % 7 == 0:
        return run.pause("it has no stamp")
    if number % 11 == 0 and run.object.weight < 2:
        run.object.weight += 1
        return run.repeat()
    return Place.REFUSED if number % 13 == 0 else Place.MIDDLE


def letters() -> bf.Workflow[Letter, Place]:
    retry = bf.Retry(backoff_seconds=WAIT_SECONDS, jitter=0)
    workflow = bf.Workflow("letters", Letter, Place, retry=retry)
    workflow.add_step(Place.NEW, sort, Place.MIDDLE, Place.REFUSED)
    workflow.sql_step(Place.MIDDLE, to=[Place.DONE])
    return workflow


State: TypeAlias = "tuple[str, str, int, int]"
"""Status, run state, version and attempt."""


class Night:
    """An engine with a clock, and the states of all runs at some moments."""

    def __init__(self, engine: bf.Engine, clock: FakeClock) -> None:
        self.engine = engine
        self.clock = clock
        self.loaded = 0
        self.seen: dict[datetime, dict[int, State]] = {}

    def load(self, count: int) -> None:
        rows = f"SELECT range AS number FROM range({self.loaded}, {self.loaded + count})"
        self.engine.trigger_many(rows, foreign_id="number")
        self.loaded += count

    def look(self) -> None:
        self.seen[self.clock.now()] = states(self.engine.runs())


def states(runs: bf.Relation) -> dict[int, State]:
    rows = runs.select("seq, status, run_state, version, attempt").fetchall()
    return {seq: tuple(state) for seq, *state in rows}


def _where(part: int) -> str:
    return f"number % 6 = {part}"


ACTIONS: dict[str, Callable[[Night, int], object]] = {
    "load": lambda night, part: night.load(20 * part + 1),
    "some steps": lambda night, part: night.engine.run(limit=10 * part + 1, progress=False),
    "all steps": lambda night, part: night.engine.run(progress=False),
    "pause": lambda night, part: night.engine.pause(_where(part)),
    "resume": lambda night, part: night.engine.resume(_where(part)),
    "cancel": lambda night, part: night.engine.cancel(_where(part)),
    "retry": lambda night, part: night.engine.retry(_where(part)),
    "retry from the start": lambda night, part: night.engine.retry(_where(part), at="NEW"),
    "edit": lambda night, part: night.engine.edit(_where(part), set={"weight": "weight + 1"}),
    "prune": lambda night, part: night.engine.prune(timedelta(0), _where(part)),
    "wait": lambda night, part: night.clock.advance(WAIT_SECONDS),
}
# Each of them, in an order in which it finds runs to change.
NIGHT = (
    *(("all steps", 0), ("wait", 0), ("some steps", 5), ("retry from the start", 3)),
    *(("pause", 1), ("load", 3), ("edit", 2), ("cancel", 4), ("retry", 1), ("all steps", 0)),
    *(("retry from the start", 4), ("resume", 2), ("prune", 5)),
)
ACTION = st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 5))


def counted(seen: dict[int, State]) -> list[tuple[str, str, int]]:
    counts = Counter(state[:2] for state in seen.values())
    pairs = [(place.name, state.name) for place in Place for state in bf.RunState]
    return [(*pair, counts[pair]) for pair in pairs if counts[pair]]


def moved(before: dict[int, State], after: dict[int, State]) -> dict[tuple[Any, ...], int]:
    pairs = ((before.get(seq, (None, None))[:2], state[:2]) for seq, state in after.items())
    return dict(Counter((*start, *end) for start, end in pairs if start != end))


@examples(3)
@example(NIGHT)
@given(st.lists(ACTION, min_size=3, max_size=8))
def test_the_past_is_what_it_was(actions: Sequence[tuple[str, int]]) -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", letters(), workers=0, clock=clock) as engine:
        night = Night(engine, clock)
        night.load(70)
        night.look()
        for name, part in actions:
            clock.advance(1)
            ACTIONS[name](night, part)
            clock.advance(1)
            night.look()
        check(night)


def check(night: Night) -> None:
    engine, left = night.engine, states(night.engine.runs())
    seen = {
        at: {seq: state for seq, state in then.items() if seq in left}
        for at, then in night.seen.items()
    }
    for at, then in seen.items():
        assert engine.counts(as_of=at).fetchall() == counted(then)
    for at in list(seen)[1::3]:
        assert states(engine.runs(as_of=at)) == seen[at]
    moments = list(seen)[::3]
    for since, until in zip(moments, [*moments[1:], None], strict=True):
        after = left if until is None else seen[until]
        rows = engine.diff(since, until).fetchall()
        assert {tuple(row[:4]): row[4] for row in rows} == moved(seen[since], after)
        assert all(len(row[5]) == min(row[4], 3) for row in rows)


def test_the_samples_of_a_difference_are_runs_that_moved_so() -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", letters(), workers=0, clock=clock) as engine:
        Night(engine, clock).load(200)
        since = clock.now()
        clock.advance(1)
        engine.run(progress=False)
        rows = engine.diff(since).fetchall()
        assert len(rows) > 2
        for *_, status, run_state, runs, samples in rows:
            listed = ", ".join(f"'{run_id}'" for run_id in samples)
            same = f"run_id IN ({listed}) AND status = '{status}' AND run_state = '{run_state}'"
            assert len(engine.runs(same)) == min(runs, 3)


def test_a_predicate_is_about_the_states_then_and_the_objects_now() -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", letters(), workers=0, clock=clock) as engine:
        Night(engine, clock).load(3)
        then = clock.now()
        clock.advance(1)
        engine.run(progress=False)
        engine.edit("true", set={"weight": "9"})
        assert len(engine.runs("status = 'NEW' AND weight = ?", [9], as_of=then)) == 3
        assert len(engine.runs("status = ?", [Place.NEW], as_of=then)) == 3
        assert engine.runs(as_of=then).columns == engine.runs().columns
        with pytest.raises(QueryError, match="'NWE'"):
            engine.runs("status = 'NWE'", as_of=then).fetchall()
        assert engine.counts(as_of=then - timedelta(1)).fetchall() == []


def test_questions_are_about_a_period() -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", things(), workers=0, clock=clock) as engine:
        load(engine, 2)
        clock.advance(60)
        first = clock.now()
        engine.run(progress=False)
        clock.advance(60)
        second = clock.now()
        load(engine, 3, first=2)
        clock.advance(1)
        engine.run(progress=False)
        asked: dict[str, Callable[..., bf.Relation]] = {
            "transitions": lambda **period: engine.transitions(**period).select("runs"),
            "throughput": lambda **period: engine.throughput(60, **period).select("runs"),
            "durations": lambda **period: engine.durations(**period).select("runs, max_seconds"),
            "funnel": lambda **period: engine.funnel(**period).select("reached", "here", '"left"'),
            "history": lambda **period: engine.history("0", **period).select("to_status"),
        }
        assert {name: ask(until=second).fetchall() for name, ask in asked.items()} == {
            "transitions": [(2,)],
            "throughput": [(2,)],
            "durations": [(2, 60.0)],
            "funnel": [(2, 0, 2), (2, 2, 0)],
            "history": [("DONE",)],
        }
        assert {name: ask(since=second).fetchall() for name, ask in asked.items()} == {
            "transitions": [(3,)],
            "throughput": [(3,)],
            "durations": [(3, 1.0)],
            "funnel": [(3, 0, 3), (5, 5, 0)],
            "history": [],
        }
        # The end isn't part of a period, and its beginning is.
        assert engine.transitions(until=first).fetchall() == []
        assert len(engine.transitions(since=first, until=second)) == 1


def test_rejected_rows_are_those_of_a_period() -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", things(), workers=0, clock=clock) as engine:
        engine.trigger_many([Thing(1), Thing(1)], foreign_id="number")
        clock.advance(1)
        later = clock.now()
        assert len(engine.rejected(until=later)) == 1
        assert len(engine.rejected(since=later)) == 0


def test_what_is_no_moment_is_refused() -> None:
    now: Any = datetime.now(UTC)
    with bf.Engine(":memory:", things(), workers=0) as engine:
        for ask in (engine.counts, engine.runs):
            with pytest.raises(
                InvalidOptionError, match="as_of is 'now'; give a datetime, or a timedelta"
            ):
                ask(as_of="now")
        with pytest.raises(InvalidOptionError, match="which precedes since"):
            engine.diff(now, now - timedelta(1))


def test_without_a_log_the_past_is_unknown() -> None:
    workflow = bf.Workflow("things", Thing, Stage, record_transitions=False)
    workflow.sql_step(Stage.NEW, to=[Stage.DONE])
    with bf.Engine(":memory:", workflow, workers=0) as engine:
        now = datetime.now(UTC)
        for asked in (engine.counts(as_of=now), engine.runs(as_of=now), engine.diff(now)):
            with pytest.raises(QueryError, match="record_transitions=False"):
                asked.fetchall()

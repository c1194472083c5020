"""One life of a coordinator: it opens the store, checks it, works until idle, and closes it."""

from __future__ import annotations

import logging
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import crash_expectations
import crash_invariants
from crash_events import Events, Recorded
from crash_expectations import Ends
from crash_faults import Aim
from crash_invariants import LOAD_ROWS
from crash_workflow import Thing, build

import batchflow as bf
from batchflow.crash_point import CrashPoint
from batchflow.errors import EngineStateError, StepCodeError
from batchflow.store.database import connection
from batchflow.testing import arm_crash, inline_engine

BY_HAND = "by hand"
WORKERS = 2
PACE_SECONDS = 0.0005
# The exit code of a life that ended because no worker started.
GAVE_UP = 75


@dataclass(frozen=True)
class Task:
    """The task that all lives of a round share.

    Attributes:
        store: The store's file.
        events: The file of events.
        loads: The number of loads, each of `LOAD_ROWS` runs.
        aims: The faults of runs.
        cancelled: The runs that may be cancelled during a drain.
        expected: The ends of the runs without disturbance.
    """

    store: Path
    events: Path
    loads: int
    aims: tuple[Aim, ...]
    cancelled: frozenset[int]
    expected: Ends


@dataclass(frozen=True)
class Death:
    """The planned end of a life that isn't idle before.

    Attributes:
        seconds: When it is killed from outside, in seconds from its beginning.
        point: The crash point that kills it, at the `nth` time and after `delay_seconds`.
    """

    seconds: float
    point: CrashPoint | None = None
    nth: int = 1
    delay_seconds: float | None = None


def live(task: Task, death: Death, seed: str) -> None:
    """Drain until idle; record all problems."""
    events = Events(task.events)
    recorded = Recorded(task.events)
    logger = logging.getLogger("batchflow")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(events)
    # It is so low that many commits merge the log into the file.
    connection.CHECKPOINT_THRESHOLD_BYTES = 32_000
    chance = random.Random(seed)
    if death.point is not None:
        arm_crash(death.point, nth=death.nth, delay_seconds=death.delay_seconds)
    workflow = build(task.aims, PACE_SECONDS)
    try:
        with (
            _recording(events),
            bf.Engine(task.store, workflow, workers=WORKERS) as engine,
            _recording(events),
        ):
            _check(engine, recorded, events)
            _Work(engine, task, chance, events).until_idle()
    except (StepCodeError, EngineStateError) as error:
        if not _starts_are_killed(error):
            raise
        sys.exit(GAVE_UP)


def _starts_are_killed(error: Exception) -> bool:
    """Return whether an error is expected because workers are killed faster than they start."""
    return any(text in str(error) for text in ("No worker started", "Workers ended"))


@contextmanager
def _recording(events: Events) -> Iterator[None]:
    """Record exceptions; used within the engine as well, as closing it may raise another one."""
    try:
        yield
    except Exception as error:
        if not _starts_are_killed(error):
            events.write("problem", traceback.format_exc())
        raise


def look_at_end(task: Task) -> None:
    """Compare the store that the last life left with what is expected."""
    events = Events(task.events)
    recorded = Recorded(task.events)
    with inline_engine(build(task.aims), path=str(task.store)) as engine:
        _check(engine, recorded, events)
        unlike = crash_expectations.differences(engine, task.expected, task.aims, task.cancelled)
        for problem in unlike:
            events.write("problem", problem)
        events.write("transitions", crash_invariants.moves_in(engine))


def _check(engine: bf.Engine, recorded: Recorded, events: Events) -> None:
    for problem in crash_invariants.broken(engine):
        events.write("problem", problem)
    for problem in crash_invariants.lost(engine, recorded.moves, recorded.loads):
        events.write("problem", problem)


class _Work:
    """Runs the engine, while another thread loads, and changes runs."""

    def __init__(
        self, engine: bf.Engine, task: Task, chance: random.Random, events: Events
    ) -> None:
        self._engine = engine
        self._task = task
        self._chance = chance
        self._events = events
        self._idle = threading.Event()
        self._missing = sorted(set(range(task.loads)) - crash_invariants.loads_in(engine))

    def until_idle(self) -> None:
        # This comes first, because a load starts the workers unless a drain is running.
        self._load()
        interfering = threading.Thread(target=self._interfere)
        interfering.start()
        try:
            self._engine.run(wait_for_retries=True)
        finally:
            self._idle.set()
            interfering.join()
        while self._missing:
            self._load()
        self._resume()
        self._engine.run(wait_for_retries=True)

    def _interfere(self) -> None:
        with _recording(self._events):
            patience_seconds = 0.05
            while not self._idle.wait(self._chance.uniform(0.0, patience_seconds)):
                self._chance.choice(self._operations)()
                # A resumed run begins with its first attempt again, and so might never end.
                patience_seconds *= 1.1

    @property
    def _operations(self) -> list[Callable[[], None]]:
        changes = [self._pause, self._resume, self._cancel, self._retry, self._edit]
        return [self._load, self._load, *changes]

    def _load(self) -> None:
        if self._missing:
            load = self._missing.pop(0)
            things = [Thing(load * LOAD_ROWS + row) for row in range(LOAD_ROWS)]
            self._engine.trigger_many(things, foreign_id="number")
            self._events.write("loaded", load)

    def _pause(self) -> None:
        where = f"number % 11 = {self._chance.randrange(11)}"
        self._record(self._engine.pause(where, reason=BY_HAND))

    def _resume(self) -> None:
        self._record(self._engine.resume(f"reason = '{BY_HAND}'"))

    def _cancel(self) -> None:
        number = self._chance.choice(sorted(self._task.cancelled))
        self._record(self._engine.cancel(f"number = {number}"))

    def _retry(self) -> None:
        chosen = f"number % 7 = {self._chance.randrange(7)}"
        self._record(self._engine.retry(f"{chosen} AND (attempt > 1 OR reason = '{BY_HAND}')"))

    def _edit(self) -> None:
        where = f"number % 13 = {self._chance.randrange(13)}"
        self._record(self._engine.edit(where, set={"total": "total"}))

    def _record(self, report: bf.ControlReport) -> None:
        self._events.write("changed", report.changed)

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
from crash_events import Events, Told
from crash_expectations import Ends
from crash_faults import Aim
from crash_invariants import LOAD_ROWS
from crash_workflow import Thing, build

import batchflow as bf
from batchflow.crash_point import CrashPoint
from batchflow.errors import StepCodeError
from batchflow.store.database import connection
from batchflow.testing import arm_crash, inline_engine

BY_HAND = "by hand"
WORKERS = 2
PACE_SECONDS = 0.0005
# The exit code of a life that ended because no worker started.
GAVE_UP = 75


@dataclass(frozen=True)
class Task:
    """What all lives of a round have in common.

    Attributes:
        store: the store's file.
        events: where they tell what they do.
        loads: how many loads there are to be, of `LOAD_ROWS` runs each.
        aims: the faults that runs meet.
        cancelled: the runs that people cancel, when they happen to.
        expected: what the runs become undisturbed.
    """

    store: Path
    events: Path
    loads: int
    aims: tuple[Aim, ...]
    cancelled: frozenset[int]
    expected: Ends


@dataclass(frozen=True)
class Death:
    """How a life is to end, if it isn't idle before.

    Attributes:
        seconds: when it is killed from outside, after its beginning.
        point: where it is killed otherwise, `nth` time there, `delay_seconds` after it.
    """

    seconds: float
    point: CrashPoint | None = None
    nth: int = 1
    delay_seconds: float | None = None


def live(task: Task, death: Death, seed: str) -> None:
    """Work until idle; whatever isn't as it must be is told."""
    events = Events(task.events)
    told = Told(task.events)
    logger = logging.getLogger("batchflow")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(events)
    # So low that many a commit folds the log into the file.
    connection.CHECKPOINT_THRESHOLD_BYTES = 32_000
    chance = random.Random(seed)
    if death.point is not None:
        arm_crash(death.point, nth=death.nth, delay_seconds=death.delay_seconds)
    workflow = build(task.aims, PACE_SECONDS)
    try:
        with (
            _told(events),
            bf.Engine(task.store, workflow, workers=WORKERS) as engine,
            _told(events),
        ):
            _check(engine, told, events)
            _Work(engine, task, chance, events).until_idle()
    except StepCodeError:
        sys.exit(GAVE_UP)


@contextmanager
def _told(events: Events) -> Iterator[None]:
    """Tell what is raised; within the engine as well, as closing it may raise something else."""
    try:
        yield
    except Exception as error:
        # That is what it must say where its workers are killed faster than they come up.
        if "No worker started" not in str(error):
            events.tell("problem", traceback.format_exc())
        raise


def look_at_end(task: Task) -> None:
    """Hold what the last life has left to what must be there."""
    events = Events(task.events)
    told = Told(task.events)
    with inline_engine(build(task.aims), path=str(task.store)) as engine:
        _check(engine, told, events)
        unlike = crash_expectations.differences(engine, task.expected, task.aims, task.cancelled)
        for problem in unlike:
            events.tell("problem", problem)
        events.tell("transitions", crash_invariants.moves_in(engine))


def _check(engine: bf.Engine, told: Told, events: Events) -> None:
    for problem in crash_invariants.broken(engine):
        events.tell("problem", problem)
    for problem in crash_invariants.lost(engine, told.moves, told.loads):
        events.tell("problem", problem)


class _Work:
    """Runs the engine, while people load, pause, resume and cancel."""

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
        # Beforehand, as a load has the workers come up unless a run is under way.
        self._load()
        people = threading.Thread(target=self._interfere)
        people.start()
        try:
            self._engine.run(wait_for_retries=True)
        finally:
            self._idle.set()
            people.join()
        while self._missing:
            self._load()
        self._resume()
        self._engine.run(wait_for_retries=True)

    def _interfere(self) -> None:
        with _told(self._events):
            patience_seconds = 0.05
            while not self._idle.wait(self._chance.uniform(0.0, patience_seconds)):
                self._chance.choice(self._deeds)()
                # Who is resumed begins with its first attempt again, and so may never end.
                patience_seconds *= 1.1

    @property
    def _deeds(self) -> list[Callable[[], None]]:
        return [self._load, self._load, self._pause, self._resume, self._cancel]

    def _load(self) -> None:
        if self._missing:
            load = self._missing.pop(0)
            things = [Thing(load * LOAD_ROWS + row) for row in range(LOAD_ROWS)]
            self._engine.trigger_many(things, foreign_id="number")
            self._events.tell("loaded", load)

    def _pause(self) -> None:
        where = f"number % 11 = {self._chance.randrange(11)}"
        self._tell(self._engine.pause(where, reason=BY_HAND))

    def _resume(self) -> None:
        self._tell(self._engine.resume(f"reason = '{BY_HAND}'"))

    def _cancel(self) -> None:
        number = self._chance.choice(sorted(self._task.cancelled))
        self._tell(self._engine.cancel(f"number = {number}"))

    def _tell(self, moved: bf.Moved) -> None:
        self._events.tell("moved", moved.moved)

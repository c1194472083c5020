"""One round: a store, lives that end early, and one that reaches the end."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from crash_count import Count
from crash_events import Recorded
from crash_expectations import Ends, draw_cancelled
from crash_faults import draw_aims
from crash_invariants import LOAD_ROWS
from crash_life import GAVE_UP, Death, Task, live, look_at_end
from crash_processes import Child, described_process, generations, kill, left_behind

from batchflow.crash_point import CrashPoint

LIVES = 20
CLOSING_LIVES = 2
UNARMED_PART = 0.3
DELAYED_PART = 0.5
LONGEST_DELAY_SECONDS = 0.01
# For the last lives, whose workers are killed after a commit only, so that they get to the end.
LONGEST_LIFE_SECONDS = 180.0
LONGEST_KILLED_LIFE_SECONDS = 1.2
LONGEST_ARMED_LIFE_SECONDS = 8.0
WORKER_PART = 0.95
# A fork server that is still starting ends once it has, which takes long on a busy machine.
ORPHANS_LIVE_SECONDS = 30.0
AT_RANDOM = "at a random moment"
SHARED_MEMORY = Path("/dev/shm")

# How often most lives reach a point.
TIMES: dict[CrashPoint, int] = {
    "before_claim": 8,
    "chunks_in_flight": 16,
    "before_commit": 8,
    "within_commit": 8,
    "at_commit": 12,
    "after_commit": 8,
    "at_checkpoint": 3,
    "within_load": 2,
    "after_load": 2,
    "within_control": 2,
}


class Round:
    """One store, from its creation to the end of all its runs."""

    def __init__(self, seed: str, expected: Ends, folder: Path) -> None:
        self.count = Count()
        self._seed = seed
        chance = random.Random(seed)
        self._temporary = folder / "tmp"
        self._store_folder = folder / "store"
        self._stderr = folder / "stderr"
        self._temporary.mkdir()
        self._store_folder.mkdir()
        aims = draw_aims(chance, len(expected))
        self._task = Task(
            store=self._store_folder / "crash.duckdb",
            events=folder / "events",
            loads=len(expected) // LOAD_ROWS,
            aims=aims,
            cancelled=draw_cancelled(chance, len(expected), aims),
            expected=expected,
        )

    def play(self) -> Count:
        """Start and kill coordinators until one reaches the end, then check the store."""
        shared_memory = set(SHARED_MEMORY.iterdir())
        life = 0
        while not self._lives(life) and not self._recorded.problems:
            life += 1
        if not self._recorded.problems:
            self._look_at_end(shared_memory)
        self._sum_up()
        return self.count

    @property
    def _recorded(self) -> Recorded:
        return Recorded(self._task.events)

    def _lives(self, life: int) -> bool:
        """Start a coordinator; return whether it reached the end."""
        seed = f"{self._seed}:{life}"
        chance = random.Random(seed)
        death = draw_death(chance, life)
        child = Child(partial(self._live, death, seed))
        killed = self._accompany(child, death, chance, to_the_end=life >= LIVES)
        code = child.exit_code()
        self._expect_nothing_runs(life)
        self.count.numbers["lives"] += 1
        if code == -signal.SIGKILL and (not killed or life < LIVES):
            self.count.kills[AT_RANDOM if killed else str(death.point)] += 1
        elif code == GAVE_UP:
            self.count.numbers["lives that gave up because no worker started"] += 1
        elif code != 0:
            self._problem(f"life {life} ended with {code}, and was to end by {death}")
        return code == 0

    def _live(self, death: Death, seed: str) -> None:
        os.environ["TMPDIR"] = tempfile.tempdir = str(self._temporary)
        os.dup2(os.open(self._stderr, os.O_WRONLY | os.O_APPEND | os.O_CREAT), sys.stderr.fileno())
        live(self._task, death, seed)

    def _accompany(
        self, child: Child, death: Death, chance: random.Random, *, to_the_end: bool
    ) -> bool:
        """Kill workers now and then, and the child at its time; return whether it was killed."""
        end = time.monotonic() + death.seconds
        moves = -1
        often = chance.choice([0.3, 1.0, 3.0])
        while not child.ended_within(min(chance.expovariate(1 / often), end - time.monotonic())):
            if time.monotonic() >= end:
                child.kill()
                return True
            # A worker that starts slowly, on a busy machine, would never get on.
            before, moves = moves, self._recorded.moves
            if moves > before or not to_the_end:
                _kill_a_worker(child.pid, chance)
        return False

    def _expect_nothing_runs(self, life: int) -> None:
        left = left_behind(ORPHANS_LIVE_SECONDS)
        if left:
            described = [described_process(pid) for pid in left]
            self._problem(f"life {life} left processes that still run: {described}")
            for pid in left:
                kill(pid)
        files = sorted(self._temporary.iterdir())
        if files:
            self._problem(f"life {life} left temporary files: {files}")

    def _look_at_end(self, shared_memory: set[Path]) -> None:
        files = [file.name for file in self._store_folder.iterdir()]
        if files != [self._task.store.name]:
            self._problem(f"after a clean end these files are there: {files}")
        # Others on this machine may have temporary files there.
        new = {
            file
            for file in set(SHARED_MEMORY.iterdir()) - shared_memory
            if not file.name.startswith(("tmp", "pytest-of-"))
        }
        if new:
            self._problem(f"shared memory is left: {sorted(new)}")
        child = Child(partial(look_at_end, self._task))
        if child.exit_code() != 0:
            self._problem("the store can't be checked; see above")

    def _sum_up(self) -> None:
        recorded = self._recorded
        self.count.deaths += recorded.deaths
        self.count.numbers["rounds"] += 1
        self.count.numbers["runs"] += len(self._task.expected)
        self.count.numbers["transitions"] += recorded.transitions
        for problem in recorded.problems:
            self._problem(problem)

    def _problem(self, what: str) -> None:
        self.count.problems.append(f"[--seed={self._seed}] {what}")


def draw_death(chance: random.Random, life: int) -> Death:
    """Choose how a life ends: at any moment, at a point, or shortly after a point.

    A life that doesn't reach its point in time is killed anyway. The last lives reach the end: some
    die when they close, and the last one closes.
    """
    delay = chance.uniform(0.0, LONGEST_DELAY_SECONDS) if chance.random() < DELAYED_PART else None
    if life >= LIVES:
        at_close = life < LIVES + CLOSING_LIVES
        return Death(LONGEST_LIFE_SECONDS, "at_close" if at_close else None, 1, delay)
    seconds = chance.uniform(0.0, LONGEST_KILLED_LIFE_SECONDS)
    if chance.random() < UNARMED_PART:
        return Death(seconds)
    point = chance.choice(tuple(TIMES))
    # Low numbers are better, because the later lives of a round have little left to do.
    nth = min(chance.randint(1, TIMES[point]) for _ in range(2))
    return Death(LONGEST_ARMED_LIFE_SECONDS, point, nth, delay)


def _kill_a_worker(pid: int, chance: random.Random) -> None:
    """Kill one of its workers, or the fork server once it has workers."""
    fork_servers, workers, *_ = *generations(pid), [], []
    if workers:
        kill(chance.choice(workers if chance.random() < WORKER_PART else fork_servers))

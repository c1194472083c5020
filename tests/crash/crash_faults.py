"""The faults, and the runs that have them."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import batchflow as bf
from batchflow import testing

# Each fault, with the error type of its runs. SIGKILL isn't among them, because the driver kills
# workers with it from outside.
FAULTS: dict[str, tuple[testing.Fault, str]] = {
    "raises": (testing.raises(OSError("the line is down")), "OSError"),
    "answers": (testing.answers("nowhere"), "InvalidOutcome"),
    "leaves": (testing.leaves(label=17), "InvalidObject"),
    "exits": (testing.exits(3), "WorkerDied"),
    "segfaults": (testing.segfaults(), "WorkerDied"),
    "aborts": (testing.is_killed(signal.SIGABRT), "WorkerDied"),
    "hangs": (testing.hangs(), "StepTimeout"),
}
DEADLY = ("exits", "segfaults", "aborts")
STEPS = ("sort", "look_up", "triple", "tag")
REFUSALS = [("price", "refused")] * 4
REFUSED = "ConversionException"

MOST_DEADLY = 4
HANG_PART = 0.3
PASSING_PART = 0.6


@dataclass(frozen=True)
class Aim:
    """One fault of one run at one step; a passing one is over at the second attempt."""

    step: str
    fault: str
    number: int
    passing: bool

    @property
    def error(self) -> str:
        return FAULTS[self.fault][1] if self.fault in FAULTS else REFUSED


@dataclass(frozen=True)
class Struck:
    """The predicate of an aim; a class, so that workers find it by its name."""

    number: int
    passing: bool

    def __call__(self, given: Any) -> Any:
        if isinstance(given, bf.Batch):
            mask = given["number"] == self.number
            return mask & (given.attempt == 1) if self.passing else mask
        return given.object.number == self.number and (given.attempt == 1 or not self.passing)


def with_faults(step: Callable[[Any], Any], name: str, aims: Sequence[Aim]) -> Callable[[Any], Any]:
    for aim in aims:
        if aim.step == name and aim.fault in FAULTS:
            struck = Struck(aim.number, aim.passing)
            step = testing.with_fault(step, FAULTS[aim.fault][0], when=struck)
    return step


def draw_aims(chance: random.Random, runs: int) -> tuple[Aim, ...]:
    """Choose a run that reaches the step for each fault; no run has more than one."""
    free = list(range(1, runs))
    chance.shuffle(free)
    aims = []
    for step, fault, passing in _wanted(chance):
        number = next(number for number in free if _comes_to(step, number))
        free.remove(number)
        aims.append(Aim(step, fault, number, passing))
    return tuple(aims)


def _wanted(chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield steps, faults, and whether they pass; there are few of the slow ones."""
    everything = [(step, fault) for step in STEPS for fault in FAULTS]
    deadly = [(step, fault) for step, fault in everything if fault in DEADLY]
    hanging = [(step, fault) for step, fault in everything if fault == "hangs"]
    harmless = [wanted for wanted in everything if wanted not in deadly + hanging]
    hangs = chance.sample(hanging, chance.random() < HANG_PART)
    for step, fault in [*harmless, *chance.sample(deadly, MOST_DEADLY), *hangs, *REFUSALS]:
        yield step, fault, chance.random() < PASSING_PART


def _comes_to(step: str, number: int) -> bool:
    match step:
        case "look_up":
            return number % 2 == 0
        case "triple":
            return number % 2 == 1
        case "tag" | "price":
            return number % 2 == 0 or number % 9 != 0
    return True

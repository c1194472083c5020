"""The workflows whose steps the checks of the contract execute; workers import this module."""

from __future__ import annotations

import enum
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, assert_never

from batchflow.definition import Workflow
from batchflow.view import Batch, Run

TIMEOUT_SECONDS = 0.5
EXIT_CODE = 7
_LONGEST_STEP_SECONDS = 120.0
_TICK_SECONDS = 0.02
_HUGE_BYTES = 400_000_000


class Act(enum.Enum):
    """The actions of a step of the probe; the object of a run names one."""

    ADVANCE = "advances the run, adds 1 to the number and an x to the text"
    RAISE = "raises an exception"
    SKIP = "skips the run"
    PAUSE = "pauses the run"
    EXIT = "ends the process"
    HANG = "writes to the file named by the text until the process is ended"
    AWAIT_STOP = "waits until the run's stopping is true, then advances"
    EAT_MEMORY = "takes 400 MB of memory"
    SIGNAL = "sends its process the signal whose number is the run's"


class ProbeStatus(enum.Enum):
    """The statuses; each but the last has a step of another kind."""

    ROW = "row"
    TIMED = "timed"
    BATCH = "batch"
    DONE = "done"


@dataclass
class Probe:
    """The object of a probe's run: what its step does, and what it leaves."""

    act: Act = Act.ADVANCE
    number: int = 0
    text: str = ""
    worker: str = ""


class OpenedWorker:
    """A resource that shows when a worker opened and closed it, by a file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._file = folder / f"{self.name}.worker"
        self._file.write_text("open")

    def close(self) -> None:
        """Show that it was closed."""
        self._file.write_text("closed")


class UnloadableStep:
    """A step whose code is sent without complaint and fails when it is loaded."""

    __name__ = "unloadable"

    def __call__(self, run: Run[Probe, ProbeStatus]) -> ProbeStatus:
        """Never called."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return fail_to_load, ()


class UnsendableStep(UnloadableStep):
    """A step whose code can't be sent."""

    __name__ = "unsendable"

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        raise TypeError("this step can't be pickled")


def fail_to_load() -> object:
    """Stand for a module that raises when it is imported in a worker."""
    raise OSError("this code can't be loaded here")


def fail_to_open() -> object:
    """Stand for a resource that doesn't open."""
    raise OSError("this resource doesn't open")


def probe_workflows(folder: Path) -> Mapping[str, Workflow[Probe, ProbeStatus]]:
    """Return the workflows by name: without resources, with one, and with one that fails."""
    factories: Mapping[str, dict[str, Callable[[], Any]]] = {
        "plain": {},
        "resources": {"worker": partial(OpenedWorker, folder)},
        "unopened": {"worker": fail_to_open},
    }
    return {name: _workflow(name, resources) for name, resources in factories.items()}


def workflow_of(step: Callable[[Any], Any]) -> Workflow[Probe, ProbeStatus]:
    """Return a workflow of one row step."""
    workflow = Workflow("plain", Probe, ProbeStatus)
    workflow.add_step(ProbeStatus.ROW, step, ProbeStatus.DONE)
    workflow.check()
    return workflow


def _workflow(name: str, resources: dict[str, Callable[[], Any]]) -> Workflow[Probe, ProbeStatus]:
    workflow = Workflow(name, Probe, ProbeStatus, resources=resources)
    workflow.add_step(ProbeStatus.ROW, _act, ProbeStatus.DONE)
    workflow.add_step(
        ProbeStatus.TIMED, _act_in_time, ProbeStatus.DONE, timeout_seconds=TIMEOUT_SECONDS
    )
    workflow.add_step(ProbeStatus.BATCH, _act_on_batch, ProbeStatus.DONE, batch=True)
    workflow.check()
    return workflow


def _act(run: Run[Probe, ProbeStatus]) -> Any:
    probe = run.object
    probe.worker = run.resources["worker"].name if run.resources else ""
    match probe.act:
        case Act.ADVANCE:
            pass
        case Act.RAISE:
            raise ValueError("the contract raises this")
        case Act.SKIP:
            return run.skip()
        case Act.PAUSE:
            return run.pause("the contract pauses it")
        case Act.EXIT:
            os._exit(EXIT_CODE)
        case Act.HANG:
            _beat(Path(probe.text))
        case Act.AWAIT_STOP:
            _await(lambda: run.stopping)
        case Act.EAT_MEMORY:
            _ = b"\1" * _HUGE_BYTES
        case Act.SIGNAL:
            signal.raise_signal(signal.Signals(probe.number))
        case _:
            assert_never(probe.act)
    probe.number += 1
    probe.text += "x"
    return ProbeStatus.DONE


def _act_in_time(run: Run[Probe, ProbeStatus]) -> Any:
    return _act(run)


def _act_on_batch(batch: Batch[Probe, ProbeStatus]) -> Any:
    if any(act is Act.EXIT for act in batch["act"]):
        os._exit(EXIT_CODE)
    batch["number"] = batch["number"] + 1
    return ProbeStatus.DONE


def _beat(file: Path) -> None:
    beats = 0

    def beat() -> bool:
        nonlocal beats
        beats += 1
        file.write_text(str(beats))
        return False

    _await(beat)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_STEP_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(_TICK_SECONDS)

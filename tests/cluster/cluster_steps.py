"""Steps that break what executes them; nodes import this module."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import time
from pathlib import Path

import batchflow as bf
from kit.things import Stage, Thing

log = logging.getLogger("cluster_steps")
BAD = 7


def fail_to_open() -> object:
    """Stand for a resource that doesn't open."""
    raise OSError("this resource doesn't open")


def take_a_while(run: bf.Run[Thing, Stage]) -> Stage:
    time.sleep(0.01)
    run.object.number += 1_000
    return Stage.DONE


def segfault(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number == BAD:
        log.warning("About to crash")
        ctypes.string_at(0)
    return Stage.DONE


def hang(run: bf.Run[Thing, Stage]) -> Stage:
    while run.object.number == BAD:
        time.sleep(0.01)
    return Stage.DONE


def kill_the_node(run: bf.Run[Thing, Stage]) -> Stage:
    """Kill the actor, as a step does that takes all memory of its machine."""
    if run.object.number == BAD:
        os.kill(_actor_above(os.getpid()), signal.SIGKILL)
        time.sleep(60)
    return Stage.DONE


def _actor_above(pid: int) -> int:
    while not Path(f"/proc/{pid}/cmdline").read_text().startswith("ray::RayNode"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid

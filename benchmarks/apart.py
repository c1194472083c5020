"""Runs a measurement in a fresh process and reads back its sample."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from memory import WorkerMemory
from sample import Sample

CHILD = Path(__file__).with_name("child.py")


def measured_apart(
    module: str,
    function: str,
    arguments: Mapping[str, str | int],
    *,
    watch_workers: bool = False,
) -> Sample:
    """Call `module.function(**arguments)` in a process of its own.

    Raises:
        RuntimeError: it failed; what it wrote to standard error is in the message.
    """
    command = [sys.executable, str(CHILD), module, function, json.dumps(arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        watch = WorkerMemory(child.pid)
        with watch if watch_workers else nullcontext():
            answer, complaint = child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"{module}.{function} ended with {child.returncode}:\n{complaint}")
    return dataclasses.replace(Sample(**json.loads(answer)), peak_worker_mb=watch.peak_mb)

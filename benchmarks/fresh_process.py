"""Run a measurement in a fresh process and read its sample."""

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


def measure_in_fresh_process(
    module: str,
    function: str,
    arguments: Mapping[str, str | int],
    *,
    watch_workers: bool = False,
) -> Sample:
    """Return the sample of `module.function(**arguments)`, called in a process of its own.

    Raises:
        RuntimeError: The process failed; the message has its standard error.
    """
    command = [sys.executable, str(CHILD), module, function, json.dumps(arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        watch = WorkerMemory(child.pid)
        with watch if watch_workers else nullcontext():
            output, errors = child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"{module}.{function} exited with code {child.returncode}:\n{errors}")
    return dataclasses.replace(Sample(**json.loads(output)), peak_worker_mb=watch.peak_mb)

"""Processes of their own that are forked from one that has imported batchflow.

Starting Python and importing batchflow takes half a second of the processor; forking takes a
hundredth of that. For what a process does, or how it dies; a test of how a command starts or ends
starts it as a user does.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    ["batchflow.engine", "batchflow.testing", "pyarrow.parquet", "pytest"]
)
_SECONDS = 110


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code, as in `subprocess`: a negative number is a signal.
        output: What it and its children wrote on stdout and stderr.
    """

    code: int
    output: str


def start(function: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Start a process that calls a function of a module."""
    process = _FORKING.Process(target=function, args=arguments)
    process.start()
    return process


def call(
    function: Callable[..., object], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Ended:
    """Call a function in a process of its own, until it ends; the code is 1 if it raises."""
    with tempfile.NamedTemporaryFile() as file:
        process = start(_called, function, arguments, dict(environment or os.environ), file.name)
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        assert process.exitcode is not None
        return Ended(process.exitcode, Path(file.name).read_text(errors="replace"))


def execute(code: str, *arguments: object) -> Ended:
    """Execute a program with these arguments, like ``python -c``."""
    return call(_executed, code, [*map(str, arguments)])


def _called(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    output: str,
) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment)
    warnings.simplefilter("error")
    function(*arguments)


def _executed(code: str, arguments: list[str]) -> None:
    sys.argv = ["-c", *arguments]
    # Its classes are looked up in the module that they name.
    exec(code, vars(sys.modules["__main__"]))

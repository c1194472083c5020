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
from multiprocessing.connection import Connection
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


class Begun:
    """A program that is being executed, and talks with the test through stdin and stdout.

    Attributes:
        pid: Its process id.
        stdin: What it reads.
        stdout: What it writes on stdout and stderr.
    """

    def __init__(self, code: str, arguments: list[str]) -> None:
        theirs_in, ours_in = _FORKING.Pipe(duplex=False)
        ours_out, theirs_out = _FORKING.Pipe(duplex=False)
        self._process = start(_talking, code, arguments, theirs_in, theirs_out)
        pid = self._process.pid
        assert pid is not None
        self.pid = pid
        self.stdin = os.fdopen(os.dup(ours_in.fileno()), "w")
        self.stdout = os.fdopen(os.dup(ours_out.fileno()))
        for each in (theirs_in, ours_in, ours_out, theirs_out):
            each.close()

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def end(self) -> Ended:
        """Close its stdin and wait for its end; the output is what was not read before."""
        self.stdin.close()
        output = self.stdout.read()
        self._process.join(_SECONDS)
        code = self._process.exitcode
        self.kill()
        assert code is not None
        return Ended(code, output)

    def kill(self) -> None:
        """Kill it, unless it has ended, and wait for that."""
        self._process.kill()
        self._process.join()
        self.stdin.close()
        self.stdout.close()


def begin(code: str, *arguments: object) -> Begun:
    """Begin a program with these arguments, like ``python -c``."""
    return Begun(code, [*map(str, arguments)])


def _talking(code: str, arguments: list[str], stdin: Connection, stdout: Connection) -> None:
    os.dup2(stdin.fileno(), 0)
    os.dup2(stdout.fileno(), 1)
    os.dup2(stdout.fileno(), 2)
    stdin.close()
    stdout.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the whole process
    warnings.simplefilter("error")
    _executed(code, arguments)


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

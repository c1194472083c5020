"""Call the command line in this process, as if it had a process of its own.

A process of its own costs half a second before the command begins. So most tests call
``batchflow.cli.main`` here. Each call sees what a new process would see, and leaves nothing behind:

- File descriptors 0, 1 and 2 are replaced, and the ``sys`` streams opened on them again. So output
  of user code, of C libraries and of worker processes is captured too, and a descriptor of the test
  (a broken pipe, a full device) can take the place of stdout.
- The working directory, the environment and ``sys.argv`` are those of the call.
- ``sys.path`` and the user's modules, which are imported anew by each call, are restored.
- Handlers of signals and of the log, and warning filters, are restored. Warnings stay errors.

Signals that arrive, terminals, streams that are closed at the start and the exit code as the shell
sees it need a real process: ``command_line.call_process``.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

import batchflow
from batchflow.cli import main

_MAIN_FILE = str(Path(batchflow.__file__).with_name("__main__.py"))
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def call_in_process(
    folder: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdout: int | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Execute one command in `folder`; return its exit code and output.

    Args:
        stdout: the descriptor to write to; without one, stdout is captured.
    """
    with contextlib.ExitStack() as stack:
        output, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        stack.enter_context(_signals())
        stack.enter_context(_log())
        stack.enter_context(_modules(folder))
        stack.enter_context(warnings.catch_warnings())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", [_MAIN_FILE, *arguments])
        patch.chdir(folder)
        with _streams(output.fileno() if stdout is None else stdout, errors.fileno()):
            code = main(arguments)
        return subprocess.CompletedProcess(
            list(arguments), code, _content(output), _content(errors)
        )


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


@contextlib.contextmanager
def _streams(stdout: int, stderr: int) -> Iterator[None]:
    """Replace the three descriptors, and open the streams of ``sys`` on them as Python does."""
    with contextlib.ExitStack() as stack:
        nothing = stack.enter_context(Path(os.devnull).open("rb"))
        for number, target in enumerate((nothing.fileno(), stdout, stderr)):
            stack.enter_context(_descriptor(number, target))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, stream in _opened().items():
            patch.setattr(sys, name, stream)
            patch.setattr(sys, f"__{name}__", stream)
            stack.callback(_close, stream)
        yield
        # The last thing that Python does: what can't be flushed now would be an error.
        sys.stdout.flush()
        sys.stderr.flush()


def _close(stream: IO[Any]) -> None:
    # Python closes its streams without a word, after the flush.
    with contextlib.suppress(OSError):
        stream.close()


def _opened() -> dict[str, IO[Any]]:
    return {
        "stdin": open(0, encoding="utf-8", closefd=False),
        "stdout": open(1, "w", encoding="utf-8", closefd=False),
        "stderr": open(
            2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        ),
    }


@contextlib.contextmanager
def _descriptor(number: int, target: int) -> Iterator[None]:
    before = os.dup(number)
    os.dup2(target, number)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _log() -> Iterator[None]:
    """Begin with the logger that a new process has."""
    log = logging.getLogger("batchflow")
    before = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        log.handlers, log.propagate, level = before
        log.setLevel(level)


@contextlib.contextmanager
def _modules(folder: Path) -> Iterator[None]:
    """Forget afterwards what was imported from `folder`."""
    path, known = list(sys.path), set(sys.modules)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]

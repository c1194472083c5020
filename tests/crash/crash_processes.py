"""Child processes of the driver: start, kill, wait, and find the processes they leave behind."""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of the processes that a killed child leaves running."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


class Child:
    """A forked process that calls a function and ends, at the latest with this process."""

    def __init__(self, function: Callable[[], None]) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_called(function))
        self._descriptor = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Return the descriptor that is readable once the process has ended."""
        return self._descriptor

    def ended_within(self, seconds: float) -> bool:
        return bool(select.select([self], [], [], max(0.0, seconds))[0])

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def exit_code(self) -> int:
        """Wait for the end of the process."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(status)


class ResultChild(Child, Generic[ResultT]):
    """A child that returns the result of its function; the file is readable once it has ended."""

    def __init__(self, function: Callable[[], ResultT], folder: Path) -> None:
        self._file = Path(tempfile.mktemp(dir=folder))
        super().__init__(lambda: self._keep(function))

    def result(self) -> ResultT:
        """Wait for the result.

        Raises:
            ChildProcessError: The child ended without a result; see stderr.
        """
        if self.exit_code() != 0:
            raise ChildProcessError("A child of the driver has failed.")
        result: ResultT = pickle.loads(self._file.read_bytes())
        return result

    def _keep(self, function: Callable[[], ResultT]) -> None:
        self._file.write_bytes(pickle.dumps(function()))


def _called(function: Callable[[], None]) -> int:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        function()
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def generations(pid: int) -> list[list[int]]:
    """Return the descendants of a process: its children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, youngest = [], [pid]
    while youngest := [child for one in youngest for child in children.get(one, ())]:
        found.append(youngest)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        yield int(folder.name), int(stat.rpartition(")")[2].split()[1])


def kill(pid: int) -> bool:
    """Kill a process; return whether it was running."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def described_process(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return f"{pid}, gone by now"
    return f"{pid} {state} {command[-200:]}"


def left_behind(within_seconds: float) -> list[int]:
    """Wait for all adopted processes; return those that are still running after that time."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            time.sleep(0.002)
    return [pid for generation in generations(os.getpid()) for pid in generation]

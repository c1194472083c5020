"""The lock that keeps a second process out of a store.

DuckDB also locks its file, but that lock is dropped as soon as anything else in the process opens
and closes the file. A separate lock file has no such trap.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import stat
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from batchflow.credentials import without_credentials
from batchflow.errors import DiskFullError, StoreError, StoreHeldError
from batchflow.store.database.log_size import NO_NOTE, note_in, note_of
from batchflow.store.database.new_file import log_of

HOLDER_BYTES = 65_536
# Neither follows a symlink, nor waits for the other end of a pipe.
_OPEN_ALONE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOR_ONE_CALL: Final = "for_one_call"
_PATIENCE_SECONDS: Final = 5.0
_UNNAMED_SECONDS: Final = 1.0
# Shorter than the gap between two calls of a client that makes one after the other.
_RETRY_SECONDS: Final = 0.002


class StoreLock:
    """The lock on ``<path>.lock``, until ``release`` or the end of the process."""

    def __init__(self, store_path: Path, descriptor: int) -> None:
        self._path = lock_of(store_path)
        self._log = log_of(store_path)
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, store_path: Path, now: datetime, *, for_one_call: bool = False) -> StoreLock:
        """Take the lock of the store at `store_path`, which is its real path.

        A holder that has it for a single call is waited for, as it releases it in a moment.

        Raises:
            StoreHeldError: Another process has it, or this one.
            DiskFullError, StoreError: The lock file can't be written.
        """
        path = lock_of(store_path)
        began = named = time.monotonic()
        while True:
            try:
                lock = cls(store_path, _locked_descriptor(path, store_path))
            except StoreHeldError as error:
                # Of several holders, each may be met before it has written its name.
                is_named = _is_running(error.holder)
                named = time.monotonic() if is_named else named
                waited = time.monotonic() - (began if is_named else named)
                if waited > _patience_seconds(error.holder):
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                lock._write_holder(now, for_one_call=for_one_call)
                return lock

    def release(self) -> None:
        """Release the lock and remove its file, but not the note of a log that stays.

        A second call does nothing.
        """
        if self._descriptor < 0:
            return
        if _is_file_at(self._path, self._descriptor) and not self._has_note():
            self._path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """Close the descriptor only, which in a forked child leaves the parent's lock alone."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def note_log(self, beginning: bytes, size: int) -> None:
        """Note the size of the log after a commit, by one write that isn't synchronized."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, note_of(beginning, size), 0)

    def _has_note(self) -> bool:
        return self._log.exists() and self._note() != NO_NOTE

    def _note(self) -> bytes:
        return note_in(os.pread(self._descriptor, HOLDER_BYTES, 0))

    def _write_holder(self, now: datetime, *, for_one_call: bool) -> None:
        holder = _this_process(now) | ({_FOR_ONE_CALL: True} if for_one_call else {})
        content = self._note() + json.dumps(holder).encode()[1:]
        # On a full disk the lock works too; the error in the other process then names no holder.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


def _patience_seconds(holder: Mapping[str, Any]) -> float:
    """Return how long to wait for a holder.

    One that has just taken the lock hasn't written its name yet, so the file is empty, or names an
    earlier one.
    """
    if holder.get(_FOR_ONE_CALL):
        return _PATIENCE_SECONDS
    return 0.0 if _is_running(holder) else _UNNAMED_SECONDS


def _is_running(holder: Mapping[str, Any]) -> bool:
    pid = holder.get("pid")
    if not isinstance(pid, int) or holder.get("host") != socket.gethostname():
        # On another host, that can't be found out.
        return bool(holder)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def lock_of(store_path: Path) -> Path:
    """Return the path of a store's lock file, which exists while a process holds the lock."""
    return store_path.with_name(store_path.name + ".lock")


def _locked_descriptor(path: Path, store_path: Path) -> int:
    while True:
        descriptor = _open(path)
        _refuse_file_of_another_program(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held_error(store_path, _read_holder(descriptor)) from None
        if _is_file_at(path, descriptor):
            return descriptor
        # The last holder removed the file after it was opened here: this lock protects nothing.
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        # The umask gives it the permissions of the store.
        return os.open(path, _OPEN_ALONE | os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise _not_a_lock(path, "it is a symlink") from error
        if error.errno in DiskFullError.numbers:
            raise DiskFullError(
                f"No disk space is left for the lock file {str(path)!r} ({error.strerror}); free "
                "some, then open the store again."
            ) from error
        raise StoreError(
            f"The lock file {str(path)!r} can't be written ({error.strerror}); "
            "give a path in a folder that exists and where you have write permission."
        ) from error


def _refuse_file_of_another_program(path: Path, descriptor: int) -> None:
    """Refuse what batchflow didn't write as a lock file: it would be overwritten, then removed."""
    reason = _reason_against(descriptor)
    if reason is not None:
        os.close(descriptor)
        raise _not_a_lock(path, reason)


def _reason_against(descriptor: int) -> str | None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_nlink > 1:
        return "it is a hard link of another file"
    written = os.pread(descriptor, HOLDER_BYTES, 0)
    # The file of a full disk is empty or ends in the middle.
    holder = _holder_in(written)
    ours = not written.strip(b"\0") or (written[:1] == b"{" and (not holder or "pid" in holder))
    if not ours or status.st_size > HOLDER_BYTES:
        return "its content is of another program"
    return None


def _not_a_lock(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{str(path)!r} can't be the store's lock file: {reason}, so it was not changed. "
        "Move it away, then open the store again."
    )


def _is_file_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _read_holder(descriptor: int) -> dict[str, Any]:
    try:
        return _holder_in(os.pread(descriptor, HOLDER_BYTES, 0))
    finally:
        os.close(descriptor)


def noted_log(store_path: Path) -> bytes:
    """Return the note of a store's log, whether a process has the lock or not."""
    try:
        descriptor = os.open(lock_of(store_path), _OPEN_ALONE | os.O_RDONLY)
    except OSError:
        return NO_NOTE
    try:
        return note_in(os.pread(descriptor, HOLDER_BYTES, 0))
    finally:
        os.close(descriptor)


def _holder_in(written: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(b"{" + written.removeprefix(note_in(written)).removeprefix(b"{"))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def holder_by_duckdb(store_path: Path, message: str) -> dict[str, Any]:
    """Return what is known about the process that DuckDB names when it refuses its lock."""
    named = re.search(r"\(PID (\d+)\)", message)
    with contextlib.suppress(OSError):
        written = _read_holder(os.open(lock_of(store_path), _OPEN_ALONE | os.O_RDONLY))
        # A killed process leaves its file behind, which describes no other process.
        if named is None or written.get("pid") == int(named[1]):
            return written
    return {"pid": int(named[1]), "host": socket.gethostname()} if named else {}


def _this_process(now: datetime) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": now.isoformat(timespec="seconds"),
        "command": without_credentials(" ".join([Path(sys.executable).name, *sys.argv]))[:1_000],
    }


def held_error(store_path: Path, holder: Mapping[str, Any]) -> StoreHeldError:
    """Return the error that names the process with the store, and what to do."""
    if holder.get("pid") == os.getpid() and holder.get("host") == socket.gethostname():
        held = (
            "is open in an engine of this process: bf.engines() returns it; use or close that one"
        )
    else:
        process = _described(holder) if holder else "another process"
        held = f"is held by {process}: end it or wait for it, then open again"
    return StoreHeldError(
        f"The store {str(store_path)!r} {held}.",
        path=str(store_path),
        holder=holder,
    )


def _described(holder: Mapping[str, Any]) -> str:
    since = f" since {holder['since']}" if "since" in holder else ""
    command = f" (command: {holder['command']})" if "command" in holder else ""
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}{since}{command}"

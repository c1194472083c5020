"""Hand the log records of workers to the loggers of this process, in a thread of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import selectors
import socket
import threading
import uuid
from collections import Counter
from typing import Any, Final

from batchflow.worker.log_forwarding import FRAME_LENGTH, MOST_FRAME_BYTES, kind_of_handler
from batchflow.worker.transport import socket_pair

log = logging.getLogger("batchflow")

# As much as a worker can be ahead of the handlers; then it drops records.
_PIPE_BYTES: Final = 1024 * 1024
# A handler that hangs delays the end of a drain by at most this long.
_PATIENCE_SECONDS: Final = 5.0
_NUMBERS: Final = ("levelno", "lineno", "created", "msecs", "relativeCreated")
_TEXTS: Final = ("name", "msg", "levelname", "pathname", "filename", "module")


class WorkerLogs:
    """Reads the pipes of all workers of a pool."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._end, self._request_end = socket_pair()
        self._selector.register(self._end, selectors.EVENT_READ, None)
        self._thread: threading.Thread | None = None

    def open(self) -> tuple[WorkerLog, int]:
        """Return the log of a new worker, and the descriptor that the worker writes to."""
        descriptor, writer = os.pipe()
        os.set_blocking(descriptor, False)
        os.set_blocking(writer, False)
        with contextlib.suppress(AttributeError, OSError):
            # macOS can't, and an unprivileged user has a limit; then the pipe has its usual size.
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        worker_log = WorkerLog(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ, worker_log)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name="batchflow-worker-logs", daemon=True
            )
            self._thread.start()
        return worker_log, writer

    def catch_up(self) -> None:
        """Handle the records that workers have written so far."""
        if self._lock.acquire(timeout=_PATIENCE_SECONDS):
            try:
                for key in list(self._selector.get_map().values()):
                    if key.data is not None:
                        key.data.handle_available()
            finally:
                self._lock.release()

    def remove(self, worker_log: WorkerLog) -> None:
        """Handle the last records of a worker that has ended, and close its pipe."""
        if worker_log.descriptor < 0:
            return
        self._ignore(worker_log)
        if self._lock.acquire(timeout=_PATIENCE_SECONDS):
            try:
                worker_log.handle_available()
                worker_log.close()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the thread; all logs must have been removed."""
        # A process that was forked from this one holds the socket too, so closing it shows nothing.
        with contextlib.suppress(OSError):
            self._request_end.shutdown(socket.SHUT_RDWR)
        self._request_end.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_SECONDS)
        self._selector.close()
        self._end.close()

    def _serve(self) -> None:
        while True:
            events = self._selector.select()
            with self._lock:
                for key, _ in events:
                    if key.data is None:
                        return
                    if not key.data.handle_available():
                        # A step has closed the worker's end, which would be readable for ever.
                        self._ignore(key.data)

    def _ignore(self, worker_log: WorkerLog) -> None:
        # The other thread may have done it already.
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker_log.descriptor)


class WorkerLog:
    """The records of one worker, in their order."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._buffer = bytearray()

    def handle_available(self) -> bool:
        """Handle what the pipe has now, up to its size; return False at the pipe's end."""
        if self.descriptor < 0:
            return True
        try:
            data = os.read(self.descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return True
        self._buffer += data
        for frame in self._frames():
            try:
                handle_forwarded(*json.loads(frame))
            except Exception:
                # A step has written to the pipe, or a handler of the user's fails.
                log.debug("A log record of a worker couldn't be handled.", exc_info=True)
        return bool(data)

    def close(self) -> None:
        """Close the pipe; a second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _frames(self) -> list[bytes]:
        frames: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= FRAME_LENGTH.size:
            (length,) = FRAME_LENGTH.unpack_from(self._buffer, start)
            end = start + FRAME_LENGTH.size + length
            if length > MOST_FRAME_BYTES:
                # A step has written to the pipe, and nothing shows where the next record begins.
                self._buffer.clear()
                return frames
            if end > len(self._buffer):
                break
            frames.append(bytes(self._buffer[start + FRAME_LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return frames


def handle_forwarded(attributes: Any, handled: Any = (), dropped: int = 0) -> None:
    """Pass a record from elsewhere to the loggers of this process.

    Args:
        attributes: The attributes of the record, from `log_forwarding.encoded`; None for no record.
        handled: The handlers that had it there: the names of their loggers, and what they are.
        dropped: How many records were dropped before it.

    Raises:
        Exception: It is no record, or a handler fails.
    """
    if dropped:
        log.warning(
            "A worker dropped %d of its log records, because it logs faster than the handlers of "
            "this process write.",
            dropped,
            extra={"action": "drop_log_records", "dropped": dropped},
        )
    if attributes is not None:
        _dispatch(_record(attributes), Counter((name, kind) for name, kind in handled))


def _record(attributes: dict[str, Any]) -> logging.LogRecord:
    if not all(isinstance(attributes[name], int | float) for name in _NUMBERS):
        raise ValueError("A log record of a worker has no valid time or level.")
    texts = {name: str(attributes[name]) for name in _TEXTS}
    run_id = attributes["run_id"]
    known = uuid.UUID(run_id) if isinstance(run_id, str) and len(run_id) == 36 else run_id
    return logging.makeLogRecord({**attributes, **texts, "args": None, "run_id": known})


def _dispatch(record: logging.LogRecord, handled: Counter[tuple[str, str]]) -> None:
    """Pass a record to the handlers, except for those that had it in the worker."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    assert logger is not None
    if not logger.isEnabledFor(record.levelno) or not logger.filter(record):
        return
    found = bool(handled)
    while logger is not None:
        for handler in logger.handlers:
            found = True
            same = (logger.name, kind_of_handler(handler))
            if handled[same]:
                handled[same] -= 1
            elif record.levelno >= handler.level:
                handler.handle(record)
        logger = logger.parent if logger.propagate else None
    last = logging.lastResort
    if not found and last is not None and record.levelno >= last.level:
        last.handle(record)

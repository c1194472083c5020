"""Forward the log records of a worker to the engine's process, through a pipe that never blocks."""

from __future__ import annotations

import json
import logging
import os
import select
import struct
import time
from typing import Final

from batchflow.columns.class_names import storable
from batchflow.worker.current_call import ATTRIBUTES
from batchflow.worker.failure import TRACEBACK_CHARACTERS

# Each record is one frame: the number of bytes, and a JSON array of the record's attributes, the
# handlers that had it in the worker, and how many records were dropped before it.
FRAME_LENGTH: Final = struct.Struct("<I")
MOST_FRAME_BYTES: Final = 1024 * 1024
_MESSAGE_CHARACTERS: Final = 16_000
_EXTRA_CHARACTERS: Final = 2_000
_RECORD_CHARACTERS: Final = 128 * 1024
_PATIENCE_SECONDS: Final = 1.0
# These hold objects of this process; the message and the traceback are sent as text.
_NOT_SENT: Final = frozenset({"args", "exc_info", "message", "asctime"})


class LogForwarding(logging.Handler):
    """Writes each record to the pipe; counts the ones for which it has no room.

    A frame names the handlers that the user's modules have added here, which have handled the
    record already: the same modules have added them in the engine's process, too.

    Args:
        descriptor: The end of a pipe that doesn't block.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._pipe = os.fstat(descriptor)
        self._pid = os.getpid()
        self._rest = b""
        self._dropped = 0

    def install(self) -> None:
        """Handle what reaches the root logger; configuring logging may have removed the handler."""
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; never waits."""
        if not self._is_usable():
            _handle_here(record)
        elif self._dropped and not _has_room(self._descriptor, 0.0):
            self._dropped += 1
        else:
            try:
                frame = self._frame(encoded(record, os.getpid()), _handled_here(record.name))
            except Exception:
                self.handleError(record)
                return
            self._dropped = 0 if self._write(frame) else self._dropped + 1

    def flush(self) -> None:
        """Send the end of the last frame and the number of dropped records; wait for a second."""
        if not (self._rest or self._dropped) or not self._is_usable():
            return
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (left := deadline - time.monotonic()) > 0 and _has_room(self._descriptor, left):
            if self._write(self._frame() if self._dropped else b""):
                self._dropped = 0
                if not self._rest:
                    return

    def _is_usable(self) -> bool:
        """Return whether the pipe is still open, and this process is the worker itself."""
        if os.getpid() != self._pid:
            return False
        try:
            return os.path.samestat(self._pipe, os.fstat(self._descriptor))
        except OSError:
            return False

    def _frame(self, record: str = "null", handled: list[list[str]] | None = None) -> bytes:
        rest = json.dumps([handled, self._dropped])
        content = f"[{record}, {rest[1:]}".encode()
        return FRAME_LENGTH.pack(len(content)) + content

    def _write(self, frame: bytes) -> bool:
        """Write the frame after the rest of the one before it; return False if there is no room."""
        try:
            if self._rest:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
                if self._rest:
                    return False
            if frame:
                self._rest = frame[os.write(self._descriptor, frame) :]
        except OSError:
            return False
        return True


def _has_room(descriptor: int, seconds: float) -> bool:
    return bool(select.select([], [descriptor], [], seconds)[1])


def _handle_here(record: logging.LogRecord) -> None:
    handler = logging.lastResort
    if handler is not None and record.levelno >= handler.level:
        handler.handle(record)


def encoded(record: logging.LogRecord, worker: int) -> str:
    """Return the attributes of a record of this worker as a JSON object, without large values."""
    sent = {name: value for name, value in record.__dict__.items() if name not in _NOT_SENT}
    sent["msg"] = storable(record.getMessage(), _MESSAGE_CHARACTERS)
    if record.exc_info and not record.exc_text:
        sent["exc_text"] = logging.Formatter().formatException(record.exc_info)
    for name in ("exc_text", "stack_info"):
        if isinstance(sent.get(name), str):
            sent[name] = storable(sent[name], TRACEBACK_CHARACTERS)
    sent.update({name: sent.get(name) for name in ATTRIBUTES}, worker=worker)
    try:
        text = json.dumps(sent, default=_as_text)
    except (TypeError, ValueError, RecursionError):
        # An extra has keys that aren't text, or contains itself.
        text = ""
    if not 0 < len(text) <= _RECORD_CHARACTERS:
        text = json.dumps({name: _plain(value) for name, value in sent.items()})
    return text


def _handled_here(name: str) -> list[list[str]]:
    """Return the handlers in this process that get the record: their loggers and what they are."""
    handled = []
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        others = (each for each in logger.handlers if not isinstance(each, LogForwarding))
        handled += [[logger.name, kind_of_handler(each)] for each in others]
        logger = logger.parent if logger.propagate else None
    return handled


def kind_of_handler(handler: logging.Handler) -> str:
    """Return what is the same for the handlers that one line of a module makes in two processes."""
    kind = type(handler)
    return f"{kind.__module__}.{kind.__qualname__} {getattr(handler, 'baseFilename', '')}"


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else _as_text(value)


def _as_text(value: object) -> str:
    return storable(str(value), _EXTRA_CHARACTERS)

"""The standard streams: there from the beginning, and let go of once nobody takes them."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO

# What a write to a pipe, a terminal or a disk answers when it has ended, or is full.
_ENDED = {errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENXIO}


def open_closed_streams() -> None:
    """Open what was closed before we began (``>&-``), as to nowhere.

    The next file opened would take its number, and what is printed would be written into it: the
    store, say.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has none of those.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def is_output_error(error: BaseException) -> bool:
    """Tell whether it is a stream that couldn't be written to; a file would be named."""
    return isinstance(error, OSError) and error.errno in _ENDED and error.filename is None


def discard_output(stream: TextIO) -> None:
    """Send what is written from now on, and what is still buffered, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def flush_or_discard() -> None:
    """Leave nothing that Python would stumble over when it flushes the streams at its end."""
    for stream in (sys.stdout, sys.stderr):
        with discarding_when_closed(stream):
            stream.flush()


@contextlib.contextmanager
def discarding_when_closed(stream: TextIO) -> Iterator[None]:
    """Write to a stream for as long as somebody takes it."""
    try:
        yield
    except OSError:
        discard_output(stream)

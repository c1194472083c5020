"""The standard streams, if they are closed at the start or their readers go away."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO

# The errors of a write to a closed pipe, a closed terminal or a full disk.
_WRITE_ERRORS = {errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENXIO}


def open_closed_streams() -> None:
    """Open standard streams that the caller closed (``>&-``) on the null device.

    Otherwise the next opened file, such as the store, would take the descriptor, and prints would
    be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python sets these to None if they were closed.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def is_output_error(error: BaseException) -> bool:
    """Return whether an error is of a write to a stream; errors of files have a name."""
    return isinstance(error, OSError) and error.errno in _WRITE_ERRORS and error.filename is None


def discard_output(stream: TextIO) -> None:
    """Discard what is still buffered and what is written from now on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def flush_or_discard() -> None:
    """Flush both streams, so that Python has nothing to flush, and no error, when it exits."""
    for stream in (sys.stdout, sys.stderr):
        with discarding_when_closed(stream):
            stream.flush()


@contextlib.contextmanager
def discarding_when_closed(stream: TextIO) -> Iterator[None]:
    """Discard the rest of the output if the stream can't be written to any more."""
    try:
        yield
    except OSError:
        discard_output(stream)

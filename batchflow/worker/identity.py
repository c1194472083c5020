"""Compare a column of objects with one object by identity, at the speed of comparing numbers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt


class Identities:
    """The addresses of a column's objects, which CPython's ``id`` answers with too.

    An ``==`` on 50,000 objects takes a millisecond, runs whatever ``__eq__`` they have, and takes
    members of two enums for one where both are ints; this takes 20 µs.
    """

    def __init__(self, column: npt.NDArray[np.object_]) -> None:
        # Keeps the objects alive, so that no address can come to stand for another one.
        self._column = np.ascontiguousarray(column)
        self._addresses: npt.NDArray[np.intp] = np.empty(len(column), dtype=np.intp)
        ctypes.memmove(self._addresses.ctypes.data, self._column.ctypes.data, self._column.nbytes)

    def of(self, one: Any) -> npt.NDArray[np.bool_]:
        """Return where the column has the object `one` itself."""
        return np.equal(self._addresses, id(one))

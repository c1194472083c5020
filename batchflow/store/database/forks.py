"""Objects that a forked child inherits and must not destroy."""

from __future__ import annotations

import ctypes
import os
import weakref


def leak_in_child(inherited: object) -> None:
    """Keep an object alive for ever in each forked child of this process.

    Destroying it there would wait for threads that the child does not have, or destroy what the
    parent still uses.
    """
    reference = weakref.ref(inherited)

    def leak() -> None:
        alive = reference()
        if alive is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(alive))

    os.register_at_fork(after_in_child=leak)

"""Keep Ray from unpickling what nodes return.

Ray pickles all results but bytes, and exceptions as well. To load a pickle is to execute what its
sender wishes; nodes run the user's steps, and need no such power over this machine.
"""

from __future__ import annotations

import pickle
from typing import NoReturn


def refuse_pickles() -> None:
    """Let every result of Ray that isn't bytes raise; actors can still be created."""
    import ray.cloudpickle

    ray.cloudpickle.loads = _refuse


def _refuse(*_arguments: object, **_options: object) -> NoReturn:
    raise pickle.UnpicklingError("A node returned a pickle, which isn't loaded here.")

"""The names of public methods in Python's own errors about their arguments."""

from __future__ import annotations

import types
from typing import TypeVar

ClassT = TypeVar("ClassT", bound=type)


def names_its_methods(defined: ClassT) -> ClassT:
    """Let errors about arguments name a method as callers know it: ``pause()``.

    Python would prefix it with the class that defines it, which callers never see.
    """
    for name, method in vars(defined).items():
        if isinstance(method, types.FunctionType) and not name.startswith("_"):
            method.__qualname__ = name
    return defined

"""Recognise a class that was defined again after a workflow was made with the former one."""

from __future__ import annotations

import enum
from typing import Final

RUN_AGAIN: Final = "run the code that defines the workflow again, then open the engine again"


def is_another(found: type, expected: type) -> bool:
    """Return whether a class isn't the one that a workflow has, by its name or its definition."""
    return found is not expected and (
        found.__name__ != expected.__name__ or is_redefined(found, expected)
    )


def known_status(status: enum.Enum | str, expected: type) -> enum.Enum | str:
    """Return the name of a member of another enum, such as where a description has made its own."""
    if isinstance(status, enum.Enum) and not isinstance(status, expected):
        return status if is_another(type(status), expected) else status.name
    return status


def is_redefined(found: type, expected: type) -> bool:
    """Return whether a class is another definition of the one that a workflow has.

    A class that only has the same name, such as one that another process made from a description,
    is none.
    """
    place = (expected.__module__, expected.__qualname__)
    return found is not expected and (found.__module__, found.__qualname__) == place

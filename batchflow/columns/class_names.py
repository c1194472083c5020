"""Names of the classes of whatever a step came up with; asking for them runs no code of the user's.

What a class says of itself may be anything, or raise. So it is the interpreter that is asked.
"""

from __future__ import annotations

from typing import Final

CHARACTERS: Final = 200
_NAME: Final = type.__dict__["__name__"].__get__
_QUALNAME: Final = type.__dict__["__qualname__"].__get__


def class_name(one: object) -> str:
    """Return the name of the object's class, at most 200 characters."""
    return storable(_NAME(type(one)), CHARACTERS)


def qualified_class_name(one: object) -> str:
    """Return the same, with the names of the classes and functions that it stands in."""
    return storable(_QUALNAME(type(one)), CHARACTERS)


def storable(text: str, characters: int) -> str:
    """Return the text cut to so many characters, and without what can't be UTF-8."""
    if len(text) > characters:
        text = text[: max(characters - 1, 0)] + "…"
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")

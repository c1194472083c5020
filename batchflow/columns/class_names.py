"""Name the classes of values that come from user code, without running user code.

A class may define ``__name__`` as anything, or raise. So the interpreter's own slots are read.
"""

from __future__ import annotations

from typing import Final

MAX_CHARACTERS: Final = 200
_NAME: Final = type.__dict__["__name__"].__get__
_QUALNAME: Final = type.__dict__["__qualname__"].__get__


def class_name(value: object) -> str:
    """Return the name of the class of `value`, at most 200 characters."""
    return storable(_NAME(type(value)), MAX_CHARACTERS)


def qualified_class_name(value: object) -> str:
    """Return the qualified name of the class of `value`, at most 200 characters."""
    return storable(_QUALNAME(type(value)), MAX_CHARACTERS)


def storable(text: str, characters: int) -> str:
    """Return the text, cut to `characters`, with a question mark for what UTF-8 can't encode."""
    if len(text) > characters:
        text = text[: max(characters - 1, 0)] + "…"
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")

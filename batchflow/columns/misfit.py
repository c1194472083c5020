"""A value that doesn't fit its field: named without showing it, unless that is asked for."""

from __future__ import annotations

import reprlib
from typing import Any, Final

_MOST_CHARACTERS: Final = 200


class Misfit(str):
    """What was found, in words; the value is kept for those who may see it.

    Attributes:
        value: the value itself.
    """

    __slots__ = ("value",)
    value: Any

    @classmethod
    def of(cls, words: str, value: Any) -> Misfit:
        """Return the words about a value, with it."""
        misfit = cls(words)
        misfit.value = value
        return misfit


def told_of(found: str, *, log_values: bool) -> str:
    """Return the words, with the value in short where it is known and may be shown."""
    if not log_values or not isinstance(found, Misfit) or found.value is None:
        return found
    return f"{found!s} ({_in_short(found.value)})"


def _in_short(value: object) -> str:
    try:
        text = reprlib.repr(value) if not isinstance(value, str | bytes) else repr(value[:160])
    except Exception as error:
        return f"whose repr raised {type(error).__name__}"
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"

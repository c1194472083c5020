"""A value that doesn't fit its field, described without showing it unless that is allowed."""

from __future__ import annotations

import reprlib
from typing import Any, Final

_MAX_CHARACTERS: Final = 200


class Misfit(str):
    """A phrase for what was found, together with the value.

    Attributes:
        value: The value itself, which is shown only if that is allowed.
    """

    __slots__ = ("value",)
    value: Any

    @classmethod
    def of(cls, phrase: str, value: Any) -> Misfit:
        """Return the phrase together with the value."""
        misfit = cls(phrase)
        misfit.value = value
        return misfit


def phrase_of(found: str, *, log_values: bool) -> str:
    """Return the phrase, with the value cut short if it is known and may be shown."""
    if not log_values or not isinstance(found, Misfit) or found.value is None:
        return found
    return f"{found!s} ({_shortened(found.value)})"


def _shortened(value: object) -> str:
    try:
        text = reprlib.repr(value) if not isinstance(value, str | bytes) else repr(value[:160])
    except Exception as error:
        return f"whose repr raised {type(error).__name__}"
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"

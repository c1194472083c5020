"""Text as it may stand in HTML and in XML."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# XML has no way to say these, not even escaped.
_UNSAYABLE: Final = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# These turn around what stands after them, also beyond the text that they are in.
_TURNING: Final = "[\u202a-\u202e\u2066-\u2069]"
_UNSHOWN: Final = re.compile(f"{_UNSAYABLE}|{_TURNING}")
# How wide characters of 12 pixels are at most, but for rare ones.
_FULL, _CAPITAL, _SMALL = 12.0, 9.0, 7.0


def escaped(text: str) -> str:
    """Return text that is read as itself in an element and in a quoted attribute."""
    return html.escape(_UNSHOWN.sub("\ufffd", text))


def shortened(text: str, characters: int) -> str:
    """Return text of at most so many characters; an ellipsis stands for the rest."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def fitting(text: str, pixels: float) -> str:
    """Return what of a text fits in so many pixels at a size of 12, an ellipsis for the rest."""
    room = pixels
    for at, character in enumerate(text):
        room -= _width(character)
        if room < 0:
            return text[: max(at - 1, 0)] + "…"
    return text


def width(text: str) -> float:
    """Return how many pixels a text takes at most at a size of 12."""
    return sum(map(_width, text))


def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return _FULL
    return _CAPITAL if character.isupper() or character in "mw_@%" else _SMALL

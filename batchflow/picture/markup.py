"""Text for HTML and XML, and its width."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# XML can't contain these characters, not even escaped.
_INVALID: Final = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# These change the writing direction, also after the end of the text.
_BIDIRECTIONAL: Final = "[\u202a-\u202e\u2066-\u2069]"
_REPLACED: Final = re.compile(f"{_INVALID}|{_BIDIRECTIONAL}")
# The maximum width of characters at a font size of 12 pixels, except for rare ones.
_FULL, _CAPITAL, _SMALL = 12.0, 9.0, 7.0


def escaped(text: str) -> str:
    """Return the text escaped for elements and quoted attributes."""
    return html.escape(_REPLACED.sub("\ufffd", text))


def shortened(text: str, characters: int) -> str:
    """Return the text cut to at most `characters`, with an ellipsis for the rest."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def truncate(text: str, pixels: float) -> str:
    """Return the text cut to at most `pixels` at a font size of 12, with an ellipsis."""
    room = pixels
    for at, character in enumerate(text):
        room -= _width(character)
        if room < 0:
            return text[: max(at - 1, 0)] + "…"
    return text


def broken(text: str, pixels: float, most: int) -> list[str]:
    """Return the text in at most `most` lines of at most `pixels`; the last one may be truncated.

    Lines end behind a space or an underscore, if they have one.
    """
    lines: list[str] = []
    while width(text) > pixels and len(lines) < most - 1:
        fitting = truncate(text, pixels).removesuffix("…")
        end = max(fitting.rfind("_"), fitting.rfind(" ")) + 1 or max(len(fitting), 1)
        lines.append(text[:end])
        text = text[end:]
    return [*lines, truncate(text, pixels)]


def width(text: str) -> float:
    """Return the maximum width of a text in pixels at a font size of 12."""
    return sum(map(_width, text))


def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return _FULL
    return _CAPITAL if character.isupper() or character in "mw_@%" else _SMALL

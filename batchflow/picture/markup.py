"""Text as it may stand in HTML and in XML."""

from __future__ import annotations

import html
import re
from typing import Final

# XML has no way to say these, not even escaped.
_UNSAYABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """Return text that is read as itself in an element and in a quoted attribute."""
    return html.escape(_UNSAYABLE.sub("\ufffd", text))


def shortened(text: str, characters: int) -> str:
    """Return text of at most so many characters; an ellipsis stands for the rest."""
    return text if len(text) <= characters else text[: characters - 1] + "…"

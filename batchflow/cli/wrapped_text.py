"""Text that is wrapped at the width of the terminal, so that all of it can be read."""

from __future__ import annotations

import re
import shutil
import sys
from typing import Final

# Enough for a sentence beside an indentation; a narrower terminal wraps by itself.
_LEAST_WIDTH: Final = 24
# Terminals would obey these, and a message may contain any text.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def wrapped(text: str, indent: int, *, head: str | None = None) -> str:
    """Return lines of text, wrapped if stdout is a terminal, each with a line end.

    Args:
        text: The text; its own line ends are kept.
        indent: The number of spaces before each line.
        head: What the first line begins with, instead of these spaces.
    """
    margin = " " * indent
    first, *others = _lines(printable(text), indent)
    lines = [(margin if head is None else head) + first, *(margin + line for line in others)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def printable(text: str) -> str:
    """Return a text with control characters as escapes, which a terminal shows."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def _lines(text: str, indent: int) -> list[str]:
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        return text.split("\n")
    # It knows the width of characters that take two columns.
    from rich.console import Console
    from rich.text import Text

    width = max(shutil.get_terminal_size().columns - indent, _LEAST_WIDTH)
    found = Text(text, tab_size=4).wrap(Console(width=width), width, overflow="fold")
    return [line.plain.rstrip() for line in found] or [""]

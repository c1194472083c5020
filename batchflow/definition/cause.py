"""The cause of a failure: what failures have in common that differ only in their values.

It is the type of the exception, its message with placeholders for values, the innermost frame of
the user's code, and the same of the exceptions that it was raised from. The number of the line
isn't part of it, as lines move whenever something is edited above them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from batchflow.definition.placeholders import with_placeholders

ID_CHARACTERS: Final = 12
_DESCRIPTION_CHARACTERS: Final = 300

_LIBRARIES: Final = os.path.dirname(os.__file__) + os.sep
_PACKAGES: Final = re.compile(r".*[/\\](?:site|dist)-packages[/\\][^/\\]+")
# The file of a notebook's cell has the number of its process and a hash of its text.
_CELL: Final = re.compile(r".*[/\\]ipykernel_\d+[/\\]\d+\.py|<ipython-input-.*>")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code: its file, function, number and text."""

    file: str
    function: str
    line: int
    source: str

    @property
    def file_name(self) -> str:
        """The file without its folder, which may differ between machines."""
        if _CELL.fullmatch(self.file):
            return "notebook"
        return re.split(r"[/\\]", self.file)[-1]


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its type, its message, and the innermost place in the user's code."""

    type: str
    message: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of some failures.

    Attributes:
        id: The same for the same cause, in every store; 12 hexadecimal digits.
        description: The cause in one line.
        type: The type of the exception.
        message: Its message with placeholders.
        place: Where it was raised; None if no frame is of the user's code.
        chain: The exceptions that it was raised from, the latest first, each in one line.
    """

    id: str
    description: str
    type: str
    message: str
    place: Place | None
    chain: tuple[str, ...]


def cause_of(error: Raised, *earlier: Raised) -> Cause:
    """Return the cause of a failure, given the exceptions that it was raised from, latest first."""
    messages = [with_placeholders(each.message) for each in (error, *earlier)]
    chain = [_in_a_line(each, message) for each, message in zip(earlier, messages[1:], strict=True)]
    own = _in_a_line(error, messages[0])
    parts = [
        part
        for each, message in zip((error, *earlier), messages, strict=True)
        for part in (each.type, message, *_parts(each.place))
    ]
    return Cause(
        id=_digest(parts),
        description=_cut(f"{own}; from {chain[-1]}" if chain else own),
        type=error.type,
        message=messages[0],
        place=error.place,
        chain=tuple(chain),
    )


def distinct(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return each of the causes once."""
    return tuple({cause.id: cause for cause in causes}.values())


def place_of(places: Sequence[Place]) -> Place | None:
    """Return the innermost of some places, from the outside in, that is in the user's code.

    Installed packages and the standard library aren't, unless the outermost frame is in one.
    """
    if not places:
        return None
    own = [place for place in places if _package(place.file) is None]
    if not own:
        outermost = _package(places[0].file)
        own = [place for place in places if _package(place.file) == outermost]
    return own[-1]


def _package(file: str) -> str | None:
    """Return the folder of the installed package that has a file; None if it's the user's own."""
    found = _PACKAGES.match(file)
    if found:
        return found[0]
    return _LIBRARIES if file.startswith((_LIBRARIES, "<frozen ")) else None


def _parts(place: Place | None) -> tuple[str, ...]:
    if place is None:
        return ()
    return (place.file_name, place.function, place.source or str(place.line))


def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace"))
    return digest.hexdigest()[:ID_CHARACTERS]


def _in_a_line(error: Raised, message: str) -> str:
    place = error.place
    name = error.type.rsplit(".", 1)[-1]
    where = "" if place is None else f" in {place.function}, {place.file_name}:{place.line}"
    return _cut(f"{name}{where}{f': {message}' if message else ''}")


def _cut(text: str) -> str:
    most = _DESCRIPTION_CHARACTERS
    return text if len(text) <= most else text[: most - 1] + "…"

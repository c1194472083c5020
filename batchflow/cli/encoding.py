"""Output in encodings that lack some characters, such as ASCII in mails of cron."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable
from typing import Final

PLAIN: Final = "batchflow.plain"
AS_JSON: Final = "batchflow.json"

_LIKE: Final = {"…": "...", "·": "-", "→": "->", "µ": "u", "•": "*", "█": "#"}
_BOX_DRAWING: Final = range(0x2500, 0x2580)
_HORIZONTAL: Final = "─━┄┅┈┉╌╍═╴╶╸╺"
_VERTICAL: Final = "│┃┆┇┊┋╎╏║╵╷╹╻"


def write_in_any_encoding() -> None:
    """Replace characters that stdout or stderr can't encode, so that no output is an error."""
    for name, replaced in ((PLAIN, _plain), (AS_JSON, _escaped)):
        codecs.register_error(name, replaced)
    for stream in (sys.stdout, sys.stderr):
        # A program that calls the command line may have replaced the streams by any object.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=PLAIN)


def encodable_json(text: str) -> str:
    r"""Return JSON in which characters that stdout can't encode are escaped, as in ``\u2500``."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, AS_JSON).decode(encoding)


def _plain(error: UnicodeError) -> tuple[str, int]:
    return _replaced(error, _like)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    return _replaced(error, lambda text: json.dumps(text)[1:-1])


def _like(text: str) -> str:
    return "".join(map(_ascii_like, text))


def _ascii_like(character: str) -> str:
    if ord(character) in _BOX_DRAWING:
        return "-" if character in _HORIZONTAL else "|" if character in _VERTICAL else "+"
    return _LIKE.get(character, "?")


def _replaced(error: UnicodeError, replacement: Callable[[str], str]) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return replacement(error.object[error.start : error.end]), error.end

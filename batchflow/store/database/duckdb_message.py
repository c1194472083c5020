"""The messages of errors from DuckDB and Arrow, without the values that they quote."""

from __future__ import annotations

import re
from typing import Final

import duckdb

MOST_CHARACTERS: Final = 2_000

# Errors about a value, which they quote, by how DuckDB begins their text: Arrow may pass them on as
# another class. All others are about the statement or the system.
_ABOUT_VALUES: Final = {
    "Conversion Error": "a value can't be converted",
    "Out of Range Error": "a number is out of range",
    "Constraint Error": "a value breaks a constraint",
    "Invalid Input Error": "a value isn't accepted",
    "Invalid type Error": "a value is of another type",
    "Mismatch Type Error": "a value is of another type",
}
# DuckDB also uses this kind for settings and for whole files.
_NOT_A_VALUE: Final = re.compile(
    r"Invalid Input Error: (Cannot change configuration|CSV Error|Malformed JSON in file|"
    r"No magic bytes|Values were not provided)"
)
_TO_TYPE: Final = re.compile(
    r"\b(?:U?INT\d+|U?HUGEINT|FLOAT|DOUBLE|DECIMAL|BOOLEAN|VARCHAR|BLOB|UUID|DATE|TIME|"
    r"TIMESTAMP(?:_\w+)?(?: WITH TIME ZONE)?|INTERVAL|ENUM|STRUCT|MAP|JSON)\b"
)
# Begins errors that the producer of an Arrow stream raised.
_OF_STREAM: Final = "reading the stream registered as"
# DuckDB adds an excerpt of the SQL, and advice in its own terms.
_NOT_SHOWN: Final = ("Original Line", "LINE ", "Possible ", "See also", "*", "^", "  ")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d[\d.,:+-]*")


def message_of(error: Exception, *, values: bool = False) -> str:
    """Return an error's message on one line, with values only if `values` may be shown."""
    text = str(error)
    if values:
        return " ".join(text.split())[:MOST_CHARACTERS]
    kind = _about_a_value(text)
    if _OF_STREAM in text:
        return _without_quotes(error)
    if kind is not None:
        types = _TO_TYPE.findall(text)
        to = f" to {types[-1]}" if types and kind == "Conversion Error" else ""
        return f"{_ABOUT_VALUES[kind]}{to} ({kind})"
    return in_short(error) if isinstance(error, duckdb.Error) else _without_quotes(error)


def cause(error: Exception, *, values: bool = False) -> Exception | None:
    """Return the cause for another error; None if a traceback would show a value."""
    system = isinstance(error, duckdb.Error) and _about_a_value(str(error)) is None
    return error if system or values else None


def in_short(error: Exception) -> str:
    """Return the first lines of an error's message, without excerpts of a file or of SQL."""
    lines = str(error).splitlines()
    shown = [line for line in lines if line.strip() and not line.startswith(_NOT_SHOWN)]
    return " ".join(" ".join(shown[:3]).split())[:MOST_CHARACTERS] or type(error).__name__


def _without_quotes(error: Exception) -> str:
    return _QUOTED.sub("…", in_short(error))


def _about_a_value(text: str) -> str | None:
    if _NOT_A_VALUE.search(text):
        return None
    return next((kind for kind in _ABOUT_VALUES if f"{kind}: " in text), None)

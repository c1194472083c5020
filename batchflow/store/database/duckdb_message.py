"""The messages of errors from DuckDB and Arrow, without the values that they quote.

Messages of both are made for the owner of the data, and quote it freely. Only the kinds of error
that are known to be about a statement or the system pass on their text.
"""

from __future__ import annotations

import builtins
import re
from typing import Final

import duckdb

from batchflow.credentials import without_credentials

MOST_CHARACTERS: Final = 2_000

# Kinds by how DuckDB begins their text: Arrow may pass them on as another class.
_ABOUT_STATEMENTS: Final = frozenset(
    {
        "Binder Error",
        "Catalog Error",
        "Connection Error",
        "Dependency Error",
        "HTTP Error",
        "INTERRUPT Error",
        "IO Error",
        "Invalid Configuration Error",
        "Missing Extension Error",
        "Out of Memory Error",
        "Parameter Not Resolved Error",
        "Parser Error",
        "Permission Error",
        "Settings Error",
        "Syntax Error",
    }
)
# These are about the system, but may name the value that led to them.
_MAY_QUOTE: Final = frozenset(
    {
        "FATAL Error",
        "INTERNAL Error",
        "Not implemented Error",
        "Serialization Error",
        "TransactionContext Error",
    }
)
_ABOUT_VALUES: Final = {
    "Conversion Error": "a value can't be converted",
    "Out of Range Error": "a number is out of range",
    "Constraint Error": "a value breaks a constraint",
    "Invalid Input Error": "a value isn't accepted",
    "Invalid type Error": "a value is of another type",
    "Mismatch Type Error": "a value is of another type",
}
_NO_UTF_8: Final = "a text isn't encoded in UTF-8"
_ANOTHER_VALUE: Final = "a value isn't accepted"
_OUT_OF_MEMORY: Final = "Out of Memory Error"
_MORE_MEMORY: Final = "(EngineConfig(memory_limit=…) raises the limit)"
_KIND: Final = re.compile(r"\A([A-Z][\w ]{1,30} Error): ")
_ENCODING: Final = "Invalid Input Error: Invalid string encoding found in Parquet file"
# DuckDB also uses this kind for settings and for whole files.
_NOT_A_VALUE: Final = re.compile(
    r"Invalid Input Error: (Cannot change configuration|CSV Error|Malformed JSON in file|"
    r"No magic bytes|Values were not provided|Parameter argument/count mismatch|"
    r"File '[^']*' too small to be a Parquet file\Z|File (?:'[^']*' )?is encrypted\b|"
    r"Failed to read (?:Parquet )?file \"[^\"]*\": "
    r"(?:header inconsistency|Invalid \w+ page header|schema element|has negative|row group)|"
    r"Int96 timestamp is out of range|Parquet file (?:\([^)]*\) corrupted|has invalid number)|"
    r"Geoparquet column '[^']*' does not have)"
)
_ABOUT_A_FILE: Final = re.compile(
    r"\A[\w ]+ Error: (?:Failed to commit: )?Could not (?:\w+ ){1,3}file \""
)
_TO_TYPE: Final = re.compile(
    r"\b(?:to|for|destination type) '?(U?INT\d+|U?(?:HUGE|BIG|SMALL|TINY)INT|U?INTEGER|FLOAT|"
    r"DOUBLE|DECIMAL|BOOLEAN|VARCHAR|BLOB|UUID|DATE|TIMESTAMP(?:_\w+)?(?: WITH TIME ZONE)?|TIME|"
    r"INTERVAL|ENUM|STRUCT|MAP|JSON)\b"
)
_PLACE: Final = re.compile(r"in file \"[^\"\n]*\", (?:at byte \d+ )?in \w+(?:/\w+)? \d+")
# DuckDB adds an excerpt of the SQL, and advice in its own terms.
_NOT_SHOWN: Final = ("LINE ", "Possible ", "See also", "*", "^", "  ")
# Settings can't be changed by a query.
_SENTENCE: Final = re.compile(r"(?<=[.!])\s+")
_SETS: Final = re.compile(r"\bSET \w+")
# A row of a CSV file, which may have several lines.
_ROW: Final = re.compile(
    r"Original Line: .*\n(?=Expected Number|Value with|Maximum line|Invalid unicode|The |Error )",
    re.DOTALL,
)
_ROW_TO_THE_END: Final = re.compile(r"Original Line: .*", re.DOTALL)
# From the first quotation mark to the last one, because a value may contain some itself.
_QUOTED: Final = re.compile(r"'.*'|\".*\"", re.DOTALL)
_NUMBERS: Final = re.compile(r"\b\d[\d.,:+-]*")
# Arrow writes the repr of an object, which may be anything.
_CONVERTED: Final = re.compile(r"Could not convert .* with type", re.DOTALL)
_OF_COLUMN: Final = re.compile(r"\W*Conversion failed for column (.*) with type .*", re.DOTALL)
# How Arrow passes on an exception that Python code raised while a stream was read.
_RAISED: Final = re.compile(
    r"Python exception: Traceback .*?\n(?=\S)(?P<type>[\w.]+)(?:: (?P<message>[^\n]*))?", re.DOTALL
)
_RAISED_BY_PYTHON: Final = "Python exception: "


def message_of(error: Exception, *, values: bool = False) -> str:
    """Return an error's message on one line, with values only if `values` may be shown.

    DuckDB's name of the kind of error isn't part of it.
    """
    text = str(error)
    shown = text if values else _without_values(text, is_duckdb=isinstance(error, duckdb.Error))
    shown = _without_kind(" ".join(without_credentials(shown).split())[:MOST_CHARACTERS])
    return shown or type(error).__name__


def is_of_duckdb(error: Exception) -> bool:
    """Return whether DuckDB raised an error, or Arrow in its place."""
    return isinstance(error, duckdb.Error) or _kind(str(error)) is not None


def cause(error: Exception, *, values: bool = False) -> Exception | None:
    """Return the cause for another error; None if a traceback would show a value or a password."""
    return error if values or _is_shown_whole(str(error)) else None


def in_short(error: Exception) -> str:
    """Return the first lines of an error's message, without excerpts of a file or of SQL."""
    shown = without_credentials(_first_lines(str(error)))
    return _without_kind(shown) or type(error).__name__


def _without_values(text: str, *, is_duckdb: bool) -> str:
    if _RAISED_BY_PYTHON in text:
        return _raised(text)
    hidden = _about_a_value(text)
    if hidden is not None:
        return _phrase(hidden, text)
    kind = _kind(text)
    if kind in _ABOUT_STATEMENTS or _NOT_A_VALUE.search(text) or (kind is None and is_duckdb):
        return _first_lines(text)
    if _ABOUT_A_FILE.match(text):
        return _first_lines(text)
    if kind is None or kind in _MAY_QUOTE:
        return _scrubbed(text)
    return _phrase(kind, text)


def _raised(text: str) -> str:
    raised = _RAISED.search(text)
    if raised is None:
        return "its producer raised an exception"
    about_system = issubclass(getattr(builtins, raised["type"], object), OSError)
    message = f": {raised['message']}" if about_system and raised["message"] else ""
    return f"its producer raised {raised['type']}{message}"


def _phrase(kind: str, text: str) -> str:
    types = _TO_TYPE.findall(text)
    to = f" to {types[-1]}" if types and kind == "Conversion Error" else ""
    place = _PLACE.search(text)
    where = f" {place[0]}" if place else ""
    if kind not in _ABOUT_VALUES:
        return f"{_ANOTHER_VALUE}{where} ({kind})"
    if text.startswith(_ENCODING):
        return _NO_UTF_8
    return f"{_ABOUT_VALUES[kind]}{to}{where}"


def _first_lines(text: str) -> str:
    text = _ROW_TO_THE_END.sub("", _ROW.sub("", text))
    shown = [line for line in text.splitlines() if line.strip() and not line.startswith(_NOT_SHOWN)]
    first, *others = _SENTENCE.split(" ".join(" ".join(shown[:3]).split()))
    advised = [each for each in others if not _SETS.search(each)]
    memory = [_MORE_MEMORY] if _kind(text) == _OUT_OF_MEMORY else []
    return " ".join([first, *advised, *memory])[:MOST_CHARACTERS]


def _scrubbed(text: str) -> str:
    column = _OF_COLUMN.search(text)
    if column is not None:
        text = text[: column.start()]
    text = _CONVERTED.sub("Could not convert … with type", text).lstrip("(\"'")
    text = _first_lines(_NUMBERS.sub("…", _QUOTED.sub("…", text)))
    return text if column is None else f"column {column[1]!r}: {text}"


def _is_shown_whole(text: str) -> bool:
    kind = _kind(text)
    quotes_none = kind in _MAY_QUOTE and not _QUOTED.search(text)
    harmless = kind in _ABOUT_STATEMENTS or quotes_none
    return harmless and _about_a_value(text) is None and text == without_credentials(text)


def _without_kind(text: str) -> str:
    return _KIND.sub("", text)


def _kind(text: str) -> str | None:
    found = _KIND.match(text)
    return None if found is None else found[1]


def _about_a_value(text: str) -> str | None:
    if _NOT_A_VALUE.search(text):
        return None
    return next((kind for kind in _ABOUT_VALUES if f"{kind}: " in text), None)

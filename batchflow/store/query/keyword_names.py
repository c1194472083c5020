"""Find the columns in SQL text that have to be quoted because a keyword of SQL has their name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import duckdb

from batchflow.errors import QueryError
from batchflow.store.query.permission import require_reading

_SYNTAX: Final = "syntax error"
_WORD: Final = re.compile(rb"\w+")


def quoting_hint(text: str, found: str, columns: Iterable[str]) -> str:
    """Return a sentence that names the columns to quote, if an expression then has no syntax error.

    Args:
        text: The expression.
        found: What DuckDB found. Only a syntax error has a hint.
        columns: The names that columns have.
    """
    if _SYNTAX not in found:
        return ""
    by_word = {name.casefold(): name for name in columns}
    # DuckDB counts bytes. The last word is quoted first, so that the other positions stay.
    quoted, names = text.encode(), set()
    for start, kind in reversed(duckdb.tokenize(text)):
        word = _WORD.match(quoted, start)
        known = by_word.get(word[0].decode().casefold()) if word else None
        if kind == duckdb.token_type.keyword and word and known:
            names.add(f'"{known}"')
            quoted = quoted[:start] + f'"{known}"'.encode() + quoted[word.end() :]
    if not names or not _parses(quoted.decode()):
        return ""
    return f" Quote columns that have the name of a keyword: {', '.join(sorted(names))}."


def _parses(expression: str) -> bool:
    try:
        require_reading(f"SELECT (\n{expression}\n)")
    except QueryError:
        return False
    return True

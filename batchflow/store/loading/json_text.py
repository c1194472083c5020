"""JSON text in SQL: numbers with all of their digits."""

from __future__ import annotations

from typing import Final

from batchflow.store.schema.layout import literal

LONG_NUMBER: Final = r"[0-9][0-9.]{15}|[0-9][eE]-[0-9]{3}"
"""Matches where a record may have a number that a DOUBLE doesn't keep: a long or a tiny one."""

# A match is all text up to the next number outside of strings, or up to the end.
_UP_TO_NUMBER: Final = r'((?:"(?:[^"\\]|\\.)*"|[^"0-9-]|-I)*)(-?[0-9][0-9.eE+-]*|\z)'


def with_quoted_numbers(record: str) -> str:
    """Return the SQL of a JSON text with its numbers in quotes."""
    # The match at the end adds an empty pair of quotes.
    quoted = f"regexp_replace({record}, {literal(_UP_TO_NUMBER)}, '\\1\"\\2\"', 'gs')"
    return f"regexp_replace({quoted}, '\"\"$', '')"

"""Ask how a file is read, so that files of the same kind can be read together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from batchflow.store.schema.layout import literal

FILE: Final = "#batchflow_file"
"""The column of the path of a row's file."""

WRITTEN: Final = "#batchflow_written"
"""The column of a row as its file has it, if the format has records of text."""

NAMED: Final = f"hive_partitioning = false, filename = {literal(FILE)}"
"""The options of DuckDB's readers that add the column FILE, and nothing else of the path."""

_GLOB_CHARACTERS: Final = "*?["


_REFUSED: Final = f"{FILE}_refused_"
_ABSENT: Final = f"{FILE}_absent_"
_LACKED: Final = f"{FILE}_lacked_"


class FileShape(Protocol):
    """How a file is read. Files with equal shapes have the same columns, of the same types."""

    def table(self, files: str) -> str:
        """Return the SQL of the rows of files of this shape, with the column FILE.

        It may also have the column WRITTEN, and columns that state whether the value of another
        column is refused, or absent from its record, or lacks a member.

        Args:
            files: The files, as SQL.
        """
        ...


def refused_mark(column: str) -> str:
    """Return the name of the column that states whether a column's value is refused."""
    return f"{_REFUSED}{column}"


def absent_mark(column: str) -> str:
    """Return the name of the column that states whether a row's record lacks a column's key."""
    return f"{_ABSENT}{column}"


def lacked_mark(member: str) -> str:
    """Return the name of the column that states whether a row's record lacks a member."""
    return f"{_LACKED}{member}"


def refused_marks(names: Iterable[str]) -> dict[str, str]:
    """Return the columns of `refused_mark`, by the name of the column that they are about."""
    return _marks(names, _REFUSED)


def absent_marks(names: Iterable[str]) -> dict[str, str]:
    """Return the columns of `absent_mark`, by the name of the column that they are about."""
    return _marks(names, _ABSENT)


def lacked_marks(names: Iterable[str]) -> dict[str, str]:
    """Return the columns of `lacked_mark`, by the name of the member that they are about."""
    return _marks(names, _LACKED)


def _marks(names: Iterable[str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def files_in_sql(paths: Sequence[str]) -> str:
    """Return the SQL of a list of files that DuckDB's readers take."""
    return f"[{', '.join(literal(escaped(path)) for path in paths)}]"


def escaped(path: str) -> str:
    """Return a glob that matches this path alone."""
    return "".join(f"[{c}]" if c in _GLOB_CHARACTERS else c for c in path)

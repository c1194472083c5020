"""CSV files as a source, read as text: a value gets its type where it can be checked.

Nothing is detected but the delimiter, and that from the header alone. DuckDB would choose quotes,
escapes, comments, and rows to skip from the first rows, and so drop or change some.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from batchflow.errors import SourceError
from batchflow.store.loading.column_match import refuse_twice
from batchflow.store.loading.file_shape import NAMED
from batchflow.store.schema.layout import literal, quote

_DELIMITERS: Final = (",", ";", "\t", "|")
_TEXT: Final = (
    "auto_detect = false, header = true, quote = '\"', escape = '\"', comment = '', "
    "allow_quoted_nulls = false, null_padding = false, strict_mode = true"
)
_HEADER_BYTES: Final = 1 << 20
_MARKS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UTF_8_MARK: Final = "\ufeff"
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_LINE: Final = re.compile(r"on Line: (\d+)")
_CELLS: Final = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


@dataclass(frozen=True)
class CsvShape:
    """How a CSV file is read.

    Attributes:
        names: The columns.
        delimiter: What separates them.
        blank: The number of empty lines before the header.
        line_end: The end of the header's line.
    """

    names: tuple[str, ...]
    delimiter: str
    blank: int
    line_end: str

    def table(self, files: str) -> str:
        """Return the SQL of the rows of files, with text in all columns."""
        shapes = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.names)
        table = (
            f"read_csv({files}, columns = {{{shapes}}}, delim = {literal(self.delimiter)}, "
            f"skip = {self.blank}, {_TEXT}, {NAMED})"
        )
        if len(self.names) == 1:
            # Elsewhere DuckDB skips empty lines. An empty text in quotes isn't NULL.
            return f"(FROM {table} WHERE {quote(self.names[0])} IS NOT NULL)"
        return table


def csv_shape(path: str, wanted: Iterable[str]) -> CsvShape:
    """Return how a file is read.

    Args:
        path: The file.
        wanted: The names of columns that the file may have, from which its delimiter is known.

    Raises:
        SourceError: The file has no header, or it names a column twice, or isn't UTF-8.
    """
    text = _beginning(path)
    blank, rest = _without_blank_lines(path, text)
    delimiter = _delimiter(rest, set(map(str.lower, wanted)))
    names = _cells(rest, delimiter)
    if not names:
        raise SourceError(f"The file {path!r} has no header, so its columns have no names.")
    refuse_twice(path, [name for name in names if name])
    end = _LINE_END.search(rest)
    return CsvShape(_unique(names), delimiter, blank, end[0] if end else "")


def csv_problem(error: Exception) -> str | None:
    """Return what is wrong with a CSV file; None if DuckDB doesn't state it."""
    text = str(error)
    line = _LINE.search(text)
    where = f"line {int(line[1]):,}" if line else "a line"
    cells = _CELLS.search(text)
    if cells:
        return f"{where} has {_counted(int(cells[2]))}, but the header has {cells[1]}"
    if "unterminated quote" in text:
        return (
            f"the quote of a value that begins in {where} isn't closed, or text follows it; a "
            'quote within a value has to be doubled ("")'
        )
    if "invalid state" in text:
        return (
            "its line ends differ (CRLF, LF and CR), or a value with a line end isn't quoted; use "
            "one kind of line end"
        )
    if "not utf-8 encoded" in text:
        return f"{where} isn't encoded in UTF-8; convert the file to utf-8 first"
    return None


def _counted(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"


def _beginning(path: str) -> str:
    """Return the text at the beginning of a file, without the mark of UTF-8."""
    compression = {"gz": "gzip", "zst": "zstd"}.get(path.lower().rpartition(".")[2])
    with pa.input_stream(path, compression=compression) as stream:
        read = bytes(stream.read(_HEADER_BYTES))
    encoding = next((name for mark, name in _MARKS.items() if read.startswith(mark)), None)
    encoding = encoding or ("UTF-16" if b"\x00" in read.partition(b"\n")[0] else None)
    if encoding is not None:
        raise SourceError(
            f"The file {path!r} is encoded in {encoding}, not in UTF-8. Convert it to utf-8 first."
        )
    # A character that is cut in two at the end is no error.
    return read.decode("utf-8", errors="replace").removeprefix(_UTF_8_MARK)


def _without_blank_lines(path: str, text: str) -> tuple[int, str]:
    """Return the number of empty lines at the beginning, and the text after them."""
    rest = text.lstrip(" \t\r\n")
    before = text[: len(text) - len(rest)]
    # The header may begin with an empty name in a file with tabs.
    before = before[: max(before.rfind("\n"), before.rfind("\r")) + 1]
    ends = set(_LINE_END.findall(before)) | set(_LINE_END.findall(rest)[:1])
    if before and len(ends) > 1:
        raise SourceError(
            f"The file {path!r} can't be read: its line ends differ (CRLF, LF and CR); use one "
            "kind of line end."
        )
    blank = len(_LINE_END.findall(before))
    return blank, text[len(before) :]


def _delimiter(text: str, wanted: set[str]) -> str:
    """Return the delimiter with which the header has the most columns that are wanted."""

    def fitting(delimiter: str) -> tuple[int, int]:
        names = _cells(text, delimiter)
        return sum(name.lower() in wanted for name in names), len(names)

    return max(_DELIMITERS, key=fitting)


def _cells(text: str, delimiter: str) -> list[str]:
    """Return the cells of the first row."""
    end = _LINE_END.search(text)
    line = text[: end.start()] if end else text
    # DuckDB leaves out these spaces in all rows, so the names of columns have none either.
    shown = re.sub(rf'(\A|{re.escape(delimiter)}) "', r'\1"', line)
    shown = re.sub(rf'" +({re.escape(delimiter)}|\Z)', r'"\1', shown)
    rows = io.StringIO(shown + text[len(line) :], newline="")
    try:
        return next(csv.reader(rows, delimiter=delimiter), [])
    except csv.Error:
        return []


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return the names, with others in place of empty ones."""
    taken = set(map(str.lower, names))
    free = (name for n in range(2 * len(names) + 1) if (name := f"column{n}") not in taken)
    return tuple(name or next(free) for name in names)

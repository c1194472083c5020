"""A table as HTML that takes the colours of its page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

from batchflow.picture.markup import escaped, shortened

Cell: TypeAlias = str | None
"""The text of a cell; None is a SQL NULL."""

LONGEST_CELL: Final = 200

_MAX_LINE_CHARACTERS: Final = 48
_CELL: Final = "padding:.2em .6em;vertical-align:top;text-align:"
_LEFT: Final = f"{_CELL}left"
_RIGHT: Final = f"{_CELL}right;font-variant-numeric:tabular-nums"
_ONE_LINE: Final = ";white-space:nowrap"
_NULL: Final = '<i style="opacity:.55">NULL</i>'


def html_table(
    heading: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: Collection[int] = ()
) -> str:
    """Return a table as HTML; the columns at the positions in `numbers` are right-aligned."""
    styles = [_RIGHT if place in numbers else _LEFT for place in range(len(heading))]
    head = "".join(_cell("th", name, style) for name, style in zip(heading, styles, strict=True))
    body = "".join(_row(row, styles) for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div style="overflow-x:auto">{table}</div>'


def _row(row: Sequence[Cell], styles: Sequence[str]) -> str:
    cells = (_cell("td", cell, style) for cell, style in zip(row, styles, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(tag: str, cell: Cell, style: str) -> str:
    text = _NULL if cell is None else escaped(shortened(cell, LONGEST_CELL))
    wrapping = "" if cell and len(cell) > _MAX_LINE_CHARACTERS else _ONE_LINE
    return f'<{tag} style="{style}{wrapping}">{text}</{tag}>'

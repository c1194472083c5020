"""The life of a run as SVG: a line from top to bottom, with a mark for each thing that happened.

As in the graph, words and shapes tell what colour only repeats, and the ink is the page's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from batchflow.picture.markup import escaped, fitting
from batchflow.short_form import short_seconds

_WIDTH: Final = 720.0
_ROW: Final = 30.0
_TIME_X: Final = 148.0
_LINE_X: Final = 164.0
_TEXT_X: Final = 182.0
_AMBER: Final = "#c77d1e"
_BLUE: Final = "#4a86d8"
_GREEN: Final = "#3f9d63"

_INK: Final = 'stroke="currentColor" stroke-width="1.6"'
# Drawn around the origin.
_MARKS: Final = {
    "triggered": f'<circle r="4" fill="none" {_INK}/>',
    "advanced": f'<circle r="5" fill="{_GREEN}"/>',
    "repeated": f'<path d="M4 -3A5 5 0 1 0 5 1M4 -7v4h-4" fill="none" {_INK}/>',
    "failed": f'<path d="M0 -6.5l6.5 11.5h-13z" fill="{_AMBER}"/>',
    "paused": f'<path d="M-2.5 -5v10M2.5 -5v10" stroke="{_BLUE}" stroke-width="3"/>',
    "resumed": f'<path d="M-4 -5.5l9 5.5l-9 5.5z" fill="{_BLUE}"/>',
    "cancelled": f'<path d="M-4.5 -4.5l9 9M-4.5 4.5l9 -9" fill="none" {_INK}/>',
}
_OTHER: Final = f'<circle r="2.5" fill="none" {_INK}/>'


@dataclass(frozen=True)
class Happening:
    """One thing that happened to a run.

    Attributes:
        at: when.
        outcome: what kind of thing it was, like ``failed``.
        text: what it was.
        detail: what more is to be told of it.
    """

    at: datetime
    outcome: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Gap:
    """Where happenings are left out.

    Attributes:
        happenings: how many.
    """

    happenings: int


def timeline(life: Sequence[Happening | Gap]) -> str:
    """Return a life as an ``svg`` element, the first happening at the top."""
    height = _ROW * len(life) + 12
    drawn = "".join(_row(place, each) for place, each in enumerate(life))
    passed = "".join(_passed(place, *pair) for place, pair in enumerate(pairwise(life)))
    bottom = _y(len(life) - 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" '
        'font-family="system-ui,sans-serif" font-size="12" fill="none" stroke="none">'
        f"<title>what happened to the run</title>"
        f'<path d="M{_LINE_X} {_y(0):.1f}V{bottom:.1f}" stroke="currentColor" opacity=".35"/>'
        f"{passed}{drawn}</svg>"
    )


def _y(place: int) -> float:
    return 18 + _ROW * place


def _row(place: int, each: Happening | Gap) -> str:
    return "".join(_gap(place, each) if isinstance(each, Gap) else _happening(place, each))


def _happening(place: int, each: Happening) -> Iterator[str]:
    y = _y(place)
    moment = f"{each.at:%d %b %H:%M:%S}.{each.at.microsecond // 1000:03d}"
    yield f"<g><title>{escaped(_told(each))}</title>"
    yield _text(_TIME_X, y + 4, moment, 'text-anchor="end" opacity=".8" font-size="11"')
    yield f'<g transform="translate({_LINE_X} {y:.1f})">{_MARKS.get(each.outcome, _OTHER)}</g>'
    room = _WIDTH - _TEXT_X
    yield _text(_TEXT_X, y + 4, fitting(each.text, room), 'font-weight="600"')
    beside = _TEXT_X + (min(room, _wide(each.text) + 12) if each.text else 0)
    said = ": ".join(filter(None, (each.outcome, each.detail)))
    yield _text(beside, y + 4, fitting(said, _WIDTH - beside), 'opacity=".8"')
    yield "</g>"


def _gap(place: int, each: Gap) -> Iterator[str]:
    yield _text(_TEXT_X, _y(place) + 4, f"… {each.happenings:,} more …", 'font-style="italic"')


def _passed(place: int, before: Happening | Gap, after: Happening | Gap) -> str:
    """Write how much time passed between two happenings, halfway between them."""
    if isinstance(before, Gap) or isinstance(after, Gap) or after.at <= before.at:
        return ""
    seconds = (after.at - before.at).total_seconds()
    said = f"+{short_seconds(seconds)}"
    style = 'text-anchor="end" opacity=".6" font-size="10"'
    return _text(_TIME_X, _y(place) + 4 + _ROW / 2, said, style)


def _told(each: Happening) -> str:
    detail = f"\n{each.detail}" if each.detail else ""
    return f"{each.at.isoformat()}\n{each.text}\n{each.outcome}{detail}"


def _wide(text: str) -> float:
    """Return how many pixels a bold text takes at most."""
    return 9.2 * len(text)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor" {style}>{escaped(text)}</text>'

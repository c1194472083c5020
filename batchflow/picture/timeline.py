"""The history of a run as SVG: a line from top to bottom with a mark for each event.

As in the graph, words and shapes carry all information, and the colours are the page's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from batchflow.picture.markup import escaped, truncate, width
from batchflow.short_form import short_seconds

_WIDTH: Final = 760.0
_ROW: Final = 30.0
_TIME_X: Final = 172.0
_LINE_X: Final = 188.0
_TEXT_X: Final = 206.0
# The width of bold letters relative to others.
_BOLD: Final = 1.15
_TEXT_GAP: Final = 8
_RIGHT_ALIGNED: Final = 'text-anchor="end"'
_AMBER: Final = "#c77d1e"
_BLUE: Final = "#4a86d8"
_GREEN: Final = "#3f9d63"

_INK: Final = 'stroke="currentColor" stroke-width="1.6"'
# The marks are drawn around the origin.
_MARKS: Final = {
    "triggered": f'<circle r="4" fill="none" {_INK}/>',
    "advanced": f'<circle r="5" fill="{_GREEN}"/>',
    "repeated": f'<path d="M4 -3A5 5 0 1 0 5 1M4 -7v4h-4" fill="none" {_INK}/>',
    "failed": f'<path d="M0 -6.5l6.5 11.5h-13z" fill="{_AMBER}"/>',
    "paused": f'<path d="M-2.5 -5v10M2.5 -5v10" stroke="{_BLUE}" stroke-width="3"/>',
    "resumed": f'<path d="M-4 -5.5l9 5.5l-9 5.5z" fill="{_BLUE}"/>',
    "retried": f'<path d="M-4 3A5 5 0 1 0 -5 -1M-4 7v-4h4" fill="none" stroke="{_BLUE}" '
    'stroke-width="1.6"/>',
    "edited": f'<path d="M-5 5l1.5 -4l6 -6l2.5 2.5l-6 6z" fill="{_BLUE}"/>',
    "cancelled": f'<path d="M-4.5 -4.5l9 9M-4.5 4.5l9 -9" fill="none" {_INK}/>',
}
_OTHER: Final = f'<circle r="2.5" fill="none" {_INK}/>'


@dataclass(frozen=True)
class Event:
    """An event in the history of a run.

    Attributes:
        at: The time of the event, in UTC.
        outcome: The kind of event, like ``failed``.
        text: The text that describes the event.
        detail: The text beside it. If it is empty, the outcome is shown.
    """

    at: datetime
    outcome: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Gap:
    """A place where events are left out.

    Attributes:
        text: The text that is shown in their place.
    """

    text: str


def moment_of(at: datetime) -> str:
    """Return a time in UTC as relations show it, to the millisecond."""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}+00"


def timeline(history: Sequence[Event | Gap]) -> str:
    """Return a history as an ``svg`` element, with the first event at the top."""
    height = _ROW * len(history) + 12
    drawn = "".join(_row(place, each) for place, each in enumerate(history))
    between = "".join(_between(place, *pair) for place, pair in enumerate(pairwise(history)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" style="max-width:100%;height:auto" '
        'font-family="system-ui,sans-serif" font-size="12" fill="none" stroke="none">'
        f"<title>History of the run</title>{between}{drawn}</svg>"
    )


def _y(place: int) -> float:
    return 18 + _ROW * place


def _row(place: int, each: Event | Gap) -> str:
    return _gap(place, each) if isinstance(each, Gap) else "".join(_event(place, each))


def _event(place: int, each: Event) -> Iterator[str]:
    y, detail = _y(place), each.detail or each.outcome
    tooltip = "\n".join(filter(None, (each.at.isoformat(), each.text, detail)))
    yield f"<g><title>{escaped(tooltip)}</title>"
    yield _text(_TIME_X, y + 4, moment_of(each.at), f'{_RIGHT_ALIGNED} opacity=".8" font-size="11"')
    yield f'<g transform="translate({_LINE_X} {y:.1f})">{_MARKS.get(each.outcome, _OTHER)}</g>'
    yield from _words(y + 4, each.text, detail)
    yield "</g>"


def _words(y: float, text: str, detail: str) -> Iterator[str]:
    """Write both texts as one element, so that the second follows the first directly."""
    room = _WIDTH - _TEXT_X
    first = truncate(text, room / 2 / _BOLD)
    apart = f' dx="{_TEXT_GAP}"' if first else ""
    room -= _BOLD * width(first) + _TEXT_GAP
    yield f'<text x="{_TEXT_X:.1f}" y="{y:.1f}" fill="currentColor">'
    yield f'<tspan font-weight="600">{escaped(first)}</tspan>' if first else ""
    yield f'<tspan{apart} opacity=".8">{escaped(truncate(detail, room))}</tspan></text>'


def _gap(place: int, each: Gap) -> str:
    text = truncate(each.text, _WIDTH - _TEXT_X)
    return _text(_TEXT_X, _y(place) + 4, text, 'font-style="italic"')


def _between(place: int, before: Event | Gap, after: Event | Gap) -> str:
    """Draw the line between two events, and write the time that passed beside its middle."""
    gap = isinstance(before, Gap) or isinstance(after, Gap)
    style = ' stroke-dasharray="2 4"' if gap else ""
    line = (
        f'<path d="M{_LINE_X} {_y(place):.1f}v{_ROW}" stroke="currentColor" opacity=".35"{style}/>'
    )
    if isinstance(before, Gap) or isinstance(after, Gap) or after.at <= before.at:
        return line
    passed = f"+{short_seconds((after.at - before.at).total_seconds())}"
    style = f'{_RIGHT_ALIGNED} opacity=".7" font-size="10"'
    return line + _text(_TIME_X, _y(place) + 4 + _ROW / 2, passed, style)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor" {style}>{escaped(text)}</text>'

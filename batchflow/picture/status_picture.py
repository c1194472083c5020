"""The graph of a workflow as SVG: a box for each status, an arrow for each edge.

Words and borders carry all information; colours only repeat it. Strokes and texts have the colour
of the page's text, so the picture is readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batchflow.picture.graph_layout import BOX_WIDTH, GraphLayout, Line, Point, Spot, arrange
from batchflow.picture.markup import broken, escaped, truncate

if TYPE_CHECKING:
    from batchflow.definition.graph import StatusGraph

# The width that a mark in the corner takes from the line of the name.
_MARK_WIDTH: Final = 21.0
_DIGIT_WIDTH: Final = 7.0
_HEAD_HEIGHT: Final = 44.0
_LINE_HEIGHT: Final = 17.0
_MOST_NAME_LINES: Final = 6
# The width of bold letters relative to others.
_BOLD: Final = 1.05
_ARROW: Final = 7.0
_PADDING: Final = 10.0

_AMBER: Final = "#c77d1e"
_BLUE: Final = "#4a86d8"
# Only for a separate file. On a page, the colours are the page's.
_FILE_STYLE: Final = (
    "<style>:root{color:#1f2328}@media (prefers-color-scheme:dark){:root{color:#e6edf3;"
    "background:#0d1117}}</style>"
)


@dataclass(frozen=True)
class Box:
    """The contents of the box of one status.

    Attributes:
        name: The status.
        step: The name of its step; None for a terminal status.
        runs: The number of runs at the status, by run state; None if it isn't known.
        failing: The number of these runs that failed there and haven't finished.
    """

    name: str
    step: str | None
    runs: Mapping[str, int] | None = None
    failing: int = 0

    @property
    def paused(self) -> bool:
        """Whether some of the runs are paused."""
        return bool((self.runs or {}).get("PAUSED"))

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The lines below the name: a label and a number each."""
        if self.runs is None:
            return []
        counted = [(state.lower().replace("_", " "), f"{n:,}") for state, n in self.runs.items()]
        failing = [("of them failing", f"{self.failing:,}")] if self.failing else []
        return [*counted, *failing] or [("no runs", "")]

    @property
    def name_lines(self) -> list[str]:
        """The status in lines that fit beside the marks in the corner."""
        marks = _MARK_WIDTH * (self.paused + bool(self.failing))
        room = BOX_WIDTH - 2 * _PADDING - marks
        return broken(self.name, room / _BOLD, _MOST_NAME_LINES)

    @property
    def head_height(self) -> float:
        """The height of the part with the status and its step, in pixels."""
        return _HEAD_HEIGHT + _LINE_HEIGHT * (len(self.name_lines) - 1)

    @property
    def height(self) -> float:
        """The height of the box in pixels."""
        lines = len(self.lines)
        return self.head_height + (lines * _LINE_HEIGHT + 8 if lines else 4)


@dataclass(frozen=True)
class StatusPicture:
    """A workflow's graph, ready to be drawn.

    Attributes:
        name: The workflow's name.
        graph: Its statuses and edges.
        boxes: The boxes of the statuses to draw, by code.
    """

    name: str
    graph: StatusGraph
    boxes: Mapping[int, Box]

    def svg(self, *, standalone: bool = False) -> str:
        """Return the picture as an ``svg`` element; ``standalone`` adds colours for a file."""
        layout = arrange(self.graph, {code: box.height for code, box in self.boxes.items()})
        parts = [*self._edges(layout), *self._boxes(layout)]
        size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
        style = _FILE_STYLE if standalone else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" '
            'font-family="system-ui,sans-serif" font-size="12" fill="none" stroke="none">'
            f"{style}<title>{escaped(self.name)}</title>{''.join(parts)}</svg>"
        )

    def _edges(self, layout: GraphLayout) -> Iterator[str]:
        for line in layout.lines:
            yield _edge(line, f"{self.boxes[line.start].name} → {self.boxes[line.end].name}")
        for code in layout.loops:
            yield _loop(layout.boxes[code], f"{self.boxes[code].name} → {self.boxes[code].name}")

    def _boxes(self, layout: GraphLayout) -> Iterator[str]:
        for code, box in self.boxes.items():
            spot = layout.boxes[code]
            drawn = [_frame(spot, box), *_head(spot, box), *_counts(spot, box), *_marks(spot, box)]
            yield f"<g><title>{escaped(_tooltip(box))}</title>{''.join(drawn)}</g>"


def _tooltip(box: Box) -> str:
    step = f"step {box.step}" if box.step else "runs end here"
    counted = [f"{word} {number}".strip() for word, number in box.lines]
    return "\n".join([box.name, step, *counted])


def _frame(spot: Spot, box: Box) -> str:
    """Draw the border: double if terminal, dashed if runs are failing, thick if paused."""
    dashes = ' stroke-dasharray="6 4"' if box.failing else ""
    wide = 3.0 if box.paused else 1.2
    outer = _rectangle(spot, 0.0, f'stroke="currentColor" stroke-width="{wide}"{dashes}')
    inner = _rectangle(spot, 4.0, 'stroke="currentColor" stroke-width="0.8"')
    return outer if box.step else outer + inner


def _rectangle(spot: Spot, inset: float, stroke: str) -> str:
    return (
        f'<rect x="{spot.x + inset:.1f}" y="{spot.y + inset:.1f}" rx="6" '
        f'width="{BOX_WIDTH - 2 * inset:.1f}" height="{spot.height - 2 * inset:.1f}" {stroke}/>'
    )


def _head(spot: Spot, box: Box) -> Iterator[str]:
    x, room = spot.x + _PADDING, BOX_WIDTH - 2 * _PADDING
    step = "end" if box.step is None else truncate(f"▸ {box.step}", room)
    for place, line in enumerate(box.name_lines):
        yield _text(x, spot.y + 20 + _LINE_HEIGHT * place, line, 'font-weight="600"')
    yield _text(
        x, spot.y + box.head_height - 8, step, 'font-style="italic" opacity=".7" font-size="11"'
    )


def _counts(spot: Spot, box: Box) -> Iterator[str]:
    y = spot.y + box.head_height + 13
    for word, number in box.lines:
        room = BOX_WIDTH - 2 * _PADDING - _DIGIT_WIDTH * len(number)
        yield _text(spot.x + _PADDING, y, truncate(word, room), 'opacity=".85"')
        yield _text(spot.x + BOX_WIDTH - _PADDING, y, number, 'text-anchor="end"')
        y += _LINE_HEIGHT


def _marks(spot: Spot, box: Box) -> Iterator[str]:
    """Draw the marks in the corner: two bars for paused runs, a triangle for failing runs."""
    x, y = spot.x + BOX_WIDTH - 22, spot.y + 10
    if box.paused:
        bars = f"M{x:.1f} {y:.1f}v11M{x + 6:.1f} {y:.1f}v11"
        yield f'<path d="{bars}" stroke="{_BLUE}" stroke-width="3.5"/>'
        x -= 20
    if box.failing:
        yield (
            f'<path d="M{x + 3:.1f} {y - 1:.1f}l7 12.5h-14z" fill="{_AMBER}"/>'
            f'<path d="M{x + 3:.1f} {y + 3:.1f}v4.5m0 1.2v1.2" stroke="#fff" stroke-width="1.6"/>'
        )


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor" {style}>{escaped(text)}</text>'


def _edge(line: Line, tooltip: str) -> str:
    dashes = ' stroke-dasharray="3 3"' if line.back else ""
    (tip, toward) = (line.points[0], 1) if line.back else (line.points[-1], -1)
    return (
        f"<g><title>{escaped(tooltip)}</title>"
        f'<path d="{_curve(line.points)}" stroke="currentColor" opacity=".75"{dashes}/>'
        f"{_arrow(tip, toward)}</g>"
    )


def _curve(points: Sequence[Point]) -> str:
    """Return a path that is horizontal within columns and curved between them."""
    drawn = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (from_x, from_y), (to_x, to_y) in zip(points[::2], points[1::2], strict=True):
        middle = (from_x + to_x) / 2
        drawn.append(
            f"L{from_x:.1f} {from_y:.1f}"
            f"C{middle:.1f} {from_y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        )
    return "".join(drawn)


def _arrow(tip: Point, toward: int) -> str:
    x, y = tip
    base = x + toward * _ARROW
    return (
        f'<path d="M{x:.1f} {y:.1f}L{base:.1f} {y - 4:.1f}L{base:.1f} {y + 4:.1f}z" '
        'fill="currentColor"/>'
    )


def _loop(spot: Spot, tooltip: str) -> str:
    left, right, y = spot.x + BOX_WIDTH * 0.4, spot.x + BOX_WIDTH * 0.6, spot.y
    return (
        f"<g><title>{escaped(tooltip)}</title>"
        f'<path d="M{left:.1f} {y:.1f}C{left - 6:.1f} {y - 26:.1f} {right + 6:.1f} {y - 26:.1f} '
        f'{right:.1f} {y - 4:.1f}" stroke="currentColor" opacity=".75"/>'
        f'<path d="M{right:.1f} {y:.1f}l-4 -7h8z" fill="currentColor"/></g>'
    )

"""The layout of a graph: a column for each rank, with edges around the boxes in between.

This is a layered (Sugiyama) layout. An edge over several columns has a place in each of them, so no
line crosses a box. The places of a column are sorted by the positions of their neighbours (the
barycenter heuristic), which reduces crossings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from batchflow.definition.graph import StatusGraph

BOX_WIDTH: Final = 176.0
COLUMN_GAP: Final = 72.0
ROW_GAP: Final = 32.0
# Room for the loop above a box in the first row.
TOP: Final = 30.0
MARGIN: Final = 12.0
_LANE_HEIGHT: Final = 8.0
_SWEEPS: Final = 8
# Above this number lines can't be followed by eye, so they are straight, which is fast.
_MAX_LANES: Final = 2_000

Place: TypeAlias = tuple[int, int, int]
"""A box is ``(code, -1, -1)``. An edge in a column between its ends is ``(from, to, column)``."""

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Spot:
    """The position of a box, or of an edge in a column, in pixels from the top left corner."""

    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Line:
    """An edge between two statuses.

    Attributes:
        start, end: The codes of the statuses.
        points: The points of the line from left to right, two for each gap between columns.
        back: Whether the edge leads to an earlier status, from right to left.
    """

    start: int
    end: int
    points: tuple[Point, ...]
    back: bool


@dataclass(frozen=True)
class GraphLayout:
    """The positions of all boxes and edges.

    Attributes:
        boxes: The positions of the boxes, by the code of the status.
        lines: The edges between different statuses.
        loops: The codes of the statuses with an edge to themselves.
        width, height: The size of the picture in pixels.
    """

    boxes: Mapping[int, Spot]
    lines: tuple[Line, ...]
    loops: tuple[int, ...]
    width: float
    height: float


def arrange(graph: StatusGraph, heights: Mapping[int, float]) -> GraphLayout:
    """Return the layout of the statuses in `heights`, which has the box height of each by code."""
    column = {code: int(graph.rank[code]) for code in heights}
    edges = [(code, to) for code in sorted(graph.edges) for to in graph.edges[code] if to != code]
    lanes = sum(max(0, abs(column[to] - column[code]) - 1) for code, to in edges)
    chains = {edge: _chain(edge, column, straight=lanes > _MAX_LANES) for edge in edges}
    columns = _columns(column, chains.values())
    _untangle(columns, [pair for chain in chains.values() for pair in pairwise(chain)])
    spots = _spots(columns, heights)
    return GraphLayout(
        boxes={code: spots[_box(code)] for code in heights},
        lines=tuple(_lines(chains, spots, column)),
        loops=tuple(code for code in sorted(graph.edges) if code in graph.edges[code]),
        width=2 * MARGIN + len(columns) * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP,
        height=MARGIN + max(spot.y + spot.height for spot in spots.values()),
    )


def _box(code: int) -> Place:
    return code, -1, -1


def _chain(edge: tuple[int, int], column: Mapping[int, int], *, straight: bool) -> list[Place]:
    """Return the places of an edge from left to right, regardless of its direction."""
    left, right = sorted(edge, key=column.__getitem__)
    passed = () if straight else range(column[left] + 1, column[right])
    between = [(*edge, at) for at in passed]
    return [_box(left), *between, _box(right)]


def _columns(column: Mapping[int, int], chains: Iterable[Sequence[Place]]) -> list[list[Place]]:
    columns: list[list[Place]] = [[] for _ in range(max(column.values()) + 1)]
    for code in sorted(column):
        columns[column[code]].append(_box(code))
    for chain in chains:
        for place in chain[1:-1]:
            columns[place[2]].append(place)
    return columns


def _untangle(columns: list[list[Place]], pairs: Sequence[tuple[Place, Place]]) -> None:
    """Sort each column by the mean position of its neighbours, alternating left and right."""
    to_left: dict[Place, list[Place]] = {}
    to_right: dict[Place, list[Place]] = {}
    for left, right in pairs:
        to_right.setdefault(left, []).append(right)
        to_left.setdefault(right, []).append(left)
    for _ in range(_SWEEPS):
        _sweep(columns, to_left)
        _sweep(columns[::-1], to_right)
    _sweep(columns, to_left)


def _sweep(columns: Sequence[list[Place]], neighbours: Mapping[Place, Sequence[Place]]) -> None:
    position: dict[Place, float] = {}
    for column in columns:
        # A place without neighbours keeps its position.
        wanted = {
            place: _mean([position[other] for other in neighbours.get(place, ())], at)
            for at, place in enumerate(column)
        }
        column.sort(key=wanted.__getitem__)
        position |= {place: float(at) for at, place in enumerate(column)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else float(otherwise)


def _spots(columns: Sequence[Sequence[Place]], heights: Mapping[int, float]) -> dict[Place, Spot]:
    sizes = [
        [heights[place[0]] if place[1] < 0 else _LANE_HEIGHT for place in each] for each in columns
    ]
    totals = [sum(each) + ROW_GAP * (len(each) - 1) for each in sizes]
    spots: dict[Place, Spot] = {}
    for at, column in enumerate(columns):
        x = MARGIN + at * (BOX_WIDTH + COLUMN_GAP)
        y = TOP + (max(totals) - totals[at]) / 2
        for place, height in zip(column, sizes[at], strict=True):
            spots[place] = Spot(x, y, height)
            y += height + ROW_GAP
    return spots


def _lines(
    chains: Mapping[tuple[int, int], Sequence[Place]],
    spots: Mapping[Place, Spot],
    column: Mapping[int, int],
) -> Iterable[Line]:
    leaving = _ports(chains, spots, own=0, next_=1)
    entering = _ports(chains, spots, own=-1, next_=-2)
    for edge, chain in chains.items():
        first, last = spots[chain[0]], spots[chain[-1]]
        points = [(first.x + BOX_WIDTH, leaving[edge])]
        for place in chain[1:-1]:
            lane = spots[place]
            y = lane.y + lane.height / 2
            points += [(lane.x, y), (lane.x + BOX_WIDTH, y)]
        points.append((last.x, entering[edge]))
        yield Line(*edge, points=tuple(points), back=column[edge[1]] < column[edge[0]])


def _ports(
    chains: Mapping[tuple[int, int], Sequence[Place]],
    spots: Mapping[Place, Spot],
    *,
    own: int,
    next_: int,
) -> dict[tuple[int, int], float]:
    """Return the height at which each edge meets its box: spread out, sorted by its other end."""
    meeting: dict[Place, list[tuple[float, tuple[int, int]]]] = {}
    for edge, chain in chains.items():
        other = spots[chain[next_]]
        meeting.setdefault(chain[own], []).append((other.y + other.height / 2, edge))
    return {
        edge: spots[place].y + spots[place].height * (at + 1) / (len(edges) + 1)
        for place, edges in meeting.items()
        for at, (_, edge) in enumerate(sorted(edges))
    }

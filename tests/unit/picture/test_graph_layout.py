from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from picture_kit import workflow_of

from batchflow.picture.graph_layout import BOX_WIDTH, GraphLayout, Spot, arrange

GRAPHS: dict[str, dict[str, list[str]]] = {
    "chain": {"A": ["B"], "B": ["C"], "C": ["D"]},
    "fan": {"A": ["B", "C", "D", "E"]},
    "skip": {"A": ["B", "D"], "B": ["C", "D"], "C": ["D"]},
    "back": {"A": ["B"], "B": ["C"], "C": ["D", "B"], "D": ["B", "E"]},
    "loop": {"A": ["A", "B"]},
    "apart": {"A": ["B"], "C": ["D"]},
}


def drawn(edges: Mapping[str, Sequence[str]]) -> GraphLayout:
    names = sorted({*edges, *(target for targets in edges.values() for target in targets)})
    graph = workflow_of(names, edges).graph
    return arrange(graph, {code: 60.0 + 10 * code for code in range(len(names))})


def within(spot: Spot, x: float, y: float) -> bool:
    return spot.x < x < spot.x + BOX_WIDTH and spot.y < y < spot.y + spot.height


@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS)
def test_no_box_covers_another_and_all_are_in_the_picture(edges: dict[str, list[str]]) -> None:
    layout = drawn(edges)

    for one in layout.boxes.values():
        assert one.x > 0
        assert one.y > 0
        assert one.x + BOX_WIDTH < layout.width
        assert one.y + one.height < layout.height
        for other in layout.boxes.values():
            apart = one.x != other.x or one.y + one.height < other.y
            assert apart or other.y + other.height < one.y or one is other


@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS)
def test_lines_connect_boxes_and_avoid_those_between(edges: dict[str, list[str]]) -> None:
    layout = drawn(edges)

    for line in layout.lines:
        left, right = (line.end, line.start) if line.back else (line.start, line.end)
        assert line.points[0][0] == layout.boxes[left].x + BOX_WIDTH
        assert line.points[-1][0] == layout.boxes[right].x
        for (from_x, from_y), (to_x, to_y) in pairwise(line.points[1:-1]):
            middle = ((from_x + to_x) / 2, (from_y + to_y) / 2)
            assert not any(within(box, *middle) for box in layout.boxes.values())


def test_each_line_meets_a_box_at_another_height() -> None:
    layout = drawn(GRAPHS["back"])

    ends = [line.points[0] for line in layout.lines] + [line.points[-1] for line in layout.lines]
    assert len(set(ends)) == len(ends)


def test_backward_edges_are_marked() -> None:
    layout = drawn(GRAPHS["back"])

    assert {(line.start, line.end) for line in layout.lines if line.back} == {(2, 1), (3, 1)}
    assert layout.loops == ()
    assert drawn(GRAPHS["loop"]).loops == (0,)


def test_lines_do_not_cross_without_need() -> None:
    layout = drawn({"A": ["B", "C"], "B": ["E"], "C": ["D"]})

    heights = {code: spot.y for code, spot in layout.boxes.items()}
    assert (heights[1] < heights[2]) == (heights[4] < heights[3])


def test_a_huge_graph_is_arranged_too() -> None:
    names = [f"S{number}" for number in range(60)]
    layout = drawn({name: names[at + 1 :] for at, name in enumerate(names[:-1])})

    assert len(layout.lines) == 60 * 59 // 2
    assert all(len(line.points) == 2 for line in layout.lines)

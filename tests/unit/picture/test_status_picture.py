from __future__ import annotations

from xml.etree import ElementTree

import pytest
from picture_kit import workflow_of

from batchflow.definition import StatusGraph
from batchflow.picture import StatusPicture, picture_of
from batchflow.picture.graph_layout import BOX_WIDTH
from batchflow.picture.markup import truncate, width
from batchflow.picture.status_picture import Box

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = [
    "<script>alert(1)</script>",
    "a & b",
    "\"quoted\" 'twice'",
    "]]>",
    "<!-- -->",
    "\x1b[31m\x07",
    "x" * 500,
    "名前" * 50,
]


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}{tag}"))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def titles(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "title")]


def test_each_status_has_a_box_with_its_name_and_its_step() -> None:
    workflow = workflow_of(["NEW", "DONE", "UNUSED"], {"NEW": ["DONE"]})

    svg = picture_of(workflow).svg()

    assert texts(svg) == ["NEW", "▸ _stay", "DONE", "end", "UNUSED", "end"]
    assert "NEW → DONE" in titles(svg)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_text(name: str) -> None:
    workflow = workflow_of([name, "DONE"], {name: [name, "DONE"]})

    svg = picture_of(workflow, {name: {"RUNNING": (1, 0)}}).svg()

    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "g", "rect", "path", "text")
    }
    tooltips = [title.splitlines()[0] for title in titles(svg)]
    assert "".join("\ufffd" if ord(each) < 32 else each for each in name) in tooltips


@pytest.mark.parametrize(
    "name", ["WAITING_FOR_AN_ANSWER_OF_THE_SUPPLIER", "待支付提供商确认付款状态等待中"]
)
def test_a_long_name_has_several_lines_in_a_higher_box(name: str) -> None:
    workflow = workflow_of([name, "DONE"], {name: ["DONE"]})

    svg = picture_of(workflow).svg()

    *lines, step = texts(svg)[: texts(svg).index("end") - 1]
    assert len(lines) > 1
    assert "".join(lines) == name
    assert max(map(width, lines)) <= BOX_WIDTH
    heights = [float(each.get("height", 0)) for each in elements(svg, "rect")]
    assert heights[0] > heights[1]
    assert step.startswith("▸")


def test_a_name_of_too_many_lines_is_truncated_except_in_the_title() -> None:
    workflow = workflow_of(["x" * 500, "DONE"], {"x" * 500: ["DONE"]})

    svg = picture_of(workflow).svg()

    assert any(text.endswith("x…") for text in texts(svg))
    assert any(title.startswith("x" * 500) for title in titles(svg))


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("abc", "abc"), ("a" * 20, "aaaaaa…")])
def test_a_truncated_text_ends_with_an_ellipsis(text: str, shown: str) -> None:
    assert truncate(text, 50.0) == shown


def test_runs_are_counted_by_run_state() -> None:
    workflow = workflow_of(["NEW", "DONE"], {"NEW": ["DONE"]})
    counts = {"NEW": {"RUNNING": (1_234, 12), "PAUSED": (3, 1)}}

    assert texts(picture_of(workflow, counts).svg()) == [
        *("NEW", "▸ _stay", "running", "1,234", "paused", "3", "of them failing", "13"),
        *("DONE", "end", "no runs", ""),
    ]


def test_a_run_state_leaves_room_for_its_number() -> None:
    workflow = workflow_of(["DONE"], {})

    svg = picture_of(workflow, {"DONE": {"REQUESTED_DATA_DELETED": (10_000_000, 0)}}).svg()

    assert texts(svg)[2:] == ["requested d…", "10,000,000"]
    assert "requested data deleted 10,000,000" in "".join(titles(svg))


@pytest.mark.parametrize(
    ("box", "borders", "dashed", "marks"),
    [
        (Box("A", "step", {"RUNNING": 1}), ["1.2"], False, 0),
        (Box("A", None, {"COMPLETED": 1}), ["1.2", "0.8"], False, 0),
        (Box("A", "step", {"PAUSED": 1}), ["3.0"], False, 1),
        (Box("A", "step", {"RUNNING": 1}, failing=1), ["1.2"], True, 2),
        (Box("A", "step", {"PAUSED": 1}, failing=1), ["3.0"], True, 3),
    ],
)
def test_borders_and_marks_distinguish_boxes_without_colour(
    box: Box, borders: list[str], dashed: bool, marks: int
) -> None:
    svg = StatusPicture("things", StatusGraph(1, {}), {0: box}).svg()

    frames = elements(svg, "rect")
    assert [frame.attrib["stroke-width"] for frame in frames] == borders
    assert ("stroke-dasharray" in frames[0].attrib) is dashed
    assert len(elements(svg, "path")) == marks


def test_a_picture_has_the_colours_of_the_page_unless_it_is_standalone() -> None:
    picture = picture_of(workflow_of(["NEW", "DONE"], {"NEW": ["DONE"]}))

    assert "currentColor" in picture.svg()
    assert "<style>" not in picture.svg()
    assert "prefers-color-scheme" in picture.svg(standalone=True)
    assert ElementTree.fromstring(picture.svg(standalone=True)).tag == f"{SVG}svg"


def test_loops_and_backward_edges_are_drawn() -> None:
    edges = {"A": ["B"], "B": ["B", "C"], "C": ["B", "D"]}

    tooltips = titles(picture_of(workflow_of(["A", "B", "C", "D"], edges)).svg())

    assert {"B → B", "C → B", "C → D"} <= set(tooltips)

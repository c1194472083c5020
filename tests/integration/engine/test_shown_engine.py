"""The representation of an engine in a notebook."""

from __future__ import annotations

import enum
from typing import Any
from xml.etree import ElementTree

import batchflow as bf
from batchflow.testing import FakeClock, inline_engine
from kit.things import Thing

SVG = "{http://www.w3.org/2000/svg}"


class Stage(enum.Enum):
    NEW = "new"
    LATER = "later"
    DONE = "done"


def sorted_out(run: bf.Run[Thing, Stage]) -> Any:
    if run.object.number == 0:
        raise ValueError("none")
    return run.pause("one") if run.object.number == 1 else Stage.DONE


def workflow_named(name: str) -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow(name, Thing, Stage)
    workflow.add_step(Stage.NEW, sorted_out, Stage.LATER, Stage.DONE)
    return workflow


def texts(shown: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(shown).iter(f"{SVG}text")]


def test_an_engine_is_shown_with_its_status_counts() -> None:
    with inline_engine(workflow_named("things"), clock=FakeClock()) as engine:
        engine.trigger_many([Thing(number) for number in range(5)], foreign_id="number")
        engine.run()
        shown = engine._repr_html_()

    assert texts(shown) == [
        *("NEW", "▸ sorted_out", "running", "1", "paused", "1", "of them failing", "1"),
        *("LATER", "end", "no runs", ""),
        *("DONE", "end", "completed", "3"),
    ]


def test_failures_of_cancelled_runs_are_not_counted() -> None:
    with inline_engine(workflow_named("things"), clock=FakeClock()) as engine:
        engine.trigger("0", Thing(0))
        engine.run()
        engine.cancel("true")
        shown = engine._repr_html_()

    assert texts(shown)[2:4] == ["cancelled", "1"]
    assert "failing" not in shown


def test_each_workflow_has_a_picture_with_its_name() -> None:
    names = ["<b>things</b>", "others & more"]
    with bf.Engine(":memory:", *map(workflow_named, names), workers=0) as engine:
        root = ElementTree.fromstring(engine._repr_html_())

    assert ["".join(each.itertext()) for each in root.iter("figcaption")] == names
    assert len(list(root.iter(f"{SVG}svg"))) == 2


def test_a_closed_engine_is_shown_without_numbers() -> None:
    with inline_engine(workflow_named("things")) as engine:
        engine.trigger("2", Thing(2))
    shown = engine._repr_html_()

    assert texts(shown) == ["NEW", "▸ sorted_out", "LATER", "end", "DONE", "end"]
    assert "weren't counted" in "".join(ElementTree.fromstring(shown).itertext())


def test_the_repr_of_an_engine_names_its_store_and_its_workflows() -> None:
    with inline_engine(workflow_named("things")) as engine:
        text = repr(engine)

    assert text == repr(engine) == "<Engine ':memory:': <Workflow 'things': 3 statuses, 1 steps>>"

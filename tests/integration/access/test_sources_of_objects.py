"""Objects are loaded alike by an engine, through its socket, and into a closed file."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from kit.things import Stage


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Part:
    number: int
    colour: Colour


@dataclass
class Box:
    name: str
    colour: Colour
    parts: list[Part]
    size: int = 3


boxes: bf.Workflow[Any, Any] = bf.Workflow("boxes", Box, Stage)
boxes.sql_step(Stage.NEW, to=[Stage.DONE], set={}, status=Stage.DONE)


@contextmanager
def engine_in_this_process(path: Path) -> Iterator[Any]:
    with bf.Engine(path, boxes, workers=0) as engine:
        yield engine


@contextmanager
def client_of_an_engine(path: Path) -> Iterator[Any]:
    with bf.Engine(path, boxes, workers=0):
        yield bf.connect(path)


@contextmanager
def client_of_a_closed_file(path: Path) -> Iterator[Any]:
    with bf.Engine(path, boxes, workers=0):
        pass
    yield bf.connect(path)


PLACES = [engine_in_this_process, client_of_an_engine, client_of_a_closed_file]


def failing() -> Iterator[Box]:
    yield Box("a", Colour.RED, [])
    raise OSError("lost the connection")


REFUSED: dict[str, tuple[Callable[[], Any], type[bf.LoadError], str]] = {
    "a value that does not fit": (
        lambda: [Box("a", "RED", [])],  # type: ignore[arg-type]
        bf.InvalidRowsError,
        (
            "The list has rows that don't fit, so nothing was loaded: 1 row of column 'colour' "
            "doesn't fit Colour (row 1: 'a' is a str). Correct them, or leave them out with "
            'on_invalid="skip".'
        ),
    ),
    "another class": (
        lambda: [Box("a", Colour.RED, []), 5],
        bf.SourceError,
        (
            "Item 2 of the source is of type int. Give objects of Box, mappings of their fields' "
            "values, or a table."
        ),
    ),
    "an unknown key": (
        lambda: [{"name": "a", "weight": 1}],
        bf.SourceError,
        (
            "Item 1 of the source has the key 'weight', which is not a field of Box. Give objects "
            "of Box, mappings of their fields' values, or a table."
        ),
    ),
    "an iterable that raises": (
        failing,
        bf.SourceError,
        "The generator failed with OSError before its end, so nothing was loaded; see its cause.",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_objects_and_mappings_are_stored_alike_everywhere(place: Any, tmp_path: Path) -> None:
    source = [
        Box("a", Colour.RED, [Part(1, Colour.BLUE)]),
        {"name": "b", "colour": "RED", "parts": [{"number": 1, "colour": "BLUE"}], "id": 7},
    ]
    with place(tmp_path / "store.duckdb") as store:
        store.trigger_many(source[:1], foreign_id="name")
        store.trigger_many(source[1:], foreign_id="id")
        store.trigger("c", Box("c", Colour.RED, [Part(1, Colour.BLUE)]))

        query = "SELECT foreign_id, name, colour::VARCHAR, parts, size FROM boxes.runs ORDER BY seq"
        rows = store.sql(query).fetchall()

    parts = [{"number": 1, "colour": "BLUE"}]
    expected = [("a", "a"), ("7", "b"), ("c", "c")]
    assert rows == [(*names, "RED", parts, 3) for names in expected]


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("place", PLACES)
def test_unusable_objects_raise_the_same_error_everywhere(
    place: Any, kind: str, tmp_path: Path
) -> None:
    source, error, message = REFUSED[kind]
    with place(tmp_path / "store.duckdb") as store:
        with pytest.raises(error) as caught:
            store.trigger_many(source(), foreign_id="name")
        assert store.counts().fetchall() == []

    assert type(caught.value) is error
    assert str(caught.value) == message

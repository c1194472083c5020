"""Nested values are carried to the next step only where that makes no difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from batchflow.columns.value_writing import write_values
from batchflow.definition import fields_of
from batchflow.view.carried import Carried
from batchflow.view.row_columns import RowColumns

PLACE = 7


@dataclass
class Scan:
    place: str
    seconds: float | None = 0.0


@dataclass
class Upper:
    text: str

    def __post_init__(self) -> None:
        self.text = self.text.upper()


@dataclass
class Parcel:
    scans: list[Scan] = field(default_factory=list)
    last: Scan | None = None
    notes: dict[str, Scan] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    words: list[Upper] = field(default_factory=list)
    deep: list[list[int]] = field(default_factory=list)


def parcel() -> Parcel:
    scans = [Scan(f"hub {at}", float(at)) for at in range(3)]
    return Parcel(scans, Scan("door"), {"a": Scan("b")}, [1000, 2000], [Upper("w")], [[1], [2]])


class Steps:
    """Steps of a visit for one run; each reads its values from new columns of the same data."""

    def __init__(self) -> None:
        self._fields = fields_of(Parcel)
        self.carried = Carried()
        self.kept: list[Any] = []

    def step(self, name: str, change: Callable[[Any, list[Any]], object]) -> Any:
        """Let a step change the value of a field; return what it was, as text."""
        given = parcel()
        data = {
            each.name: write_values([getattr(given, each.name)], each.type).array
            for each in self._fields
        }
        columns = RowColumns(pa.table(data), self._fields, [PLACE], self.carried)
        place = [each.name for each in self._fields].index(name)
        value = columns.values[place][0]
        text = repr(value)
        change(value, self.kept)
        del value
        columns.settle(0)
        return text


CARRIED: dict[str, tuple[str, Callable[[Any, list[Any]], object]]] = {
    "a list that loses an item": ("scans", lambda scans, _: scans.pop()),
    "a list that gets an item": ("scans", lambda scans, _: scans.append(Scan("new", None))),
    "an item that changes": ("scans", lambda scans, _: setattr(scans[0], "place", "elsewhere")),
    "an object": ("last", lambda last, _: setattr(last, "place", "elsewhere")),
    "a dict of objects": ("notes", lambda notes, _: notes.update(new=Scan("c"))),
    "a list of numbers": ("counts", lambda counts, _: counts.append(3000)),
}

NOT_CARRIED: dict[str, tuple[str, Callable[[Any, list[Any]], object]]] = {
    "the list is kept": ("scans", lambda scans, kept: (scans.pop(), kept.append(scans))),
    "an item is kept": ("scans", lambda scans, kept: (scans.pop(), kept.append(scans[0]))),
    "an item is there twice": ("scans", lambda scans, _: scans.append(scans[0])),
    "an object is kept": (
        "last",
        lambda last, kept: (setattr(last, "place", "elsewhere"), kept.append(last)),
    ),
    "an object of a dict is kept": (
        "notes",
        lambda notes, kept: (notes.update(new=Scan("c")), kept.append(notes["a"])),
    ),
    "a float is an int": ("scans", lambda scans, _: setattr(scans[0], "seconds", 3)),
    "a class changes its values": ("words", lambda words, _: setattr(words[0], "text", "low")),
    "items have items": ("deep", lambda deep, _: deep[0].append(5)),
}


@pytest.mark.parametrize("case", CARRIED)
def test_a_value_to_which_nothing_else_refers_goes_to_the_next_step(case: str) -> None:
    name, change = CARRIED[case]
    steps = Steps()
    first = steps.step(name, change)
    left = steps.step(name, lambda *_: None)
    assert left != first
    assert steps.step(name, lambda *_: None) == left


@pytest.mark.parametrize("case", NOT_CARRIED)
def test_a_value_that_is_kept_or_that_storing_changes_is_read_again(case: str) -> None:
    name, change = NOT_CARRIED[case]
    steps = Steps()
    first = steps.step(name, change)
    assert steps.step(name, lambda *_: None) == first


def test_what_a_batch_step_changed_is_read_again() -> None:
    steps = Steps()
    first = steps.step("scans", lambda scans, _: scans.pop())
    steps.carried.forget(["scans"])
    assert steps.step("scans", lambda *_: None) == first


def test_a_value_that_a_later_step_keeps_is_carried_no_further() -> None:
    steps = Steps()
    first = steps.step("scans", lambda scans, _: scans.pop())
    steps.step("scans", lambda scans, kept: kept.append(scans))
    assert steps.step("scans", lambda *_: None) == first

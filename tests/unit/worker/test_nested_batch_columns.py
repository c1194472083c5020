"""A batch step may change the lists, dicts and dataclasses that it reads, as a row step may."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from step_harness import Execute, Status


@dataclass
class Part:
    size: int
    names: list[str] = field(default_factory=list)


@dataclass
class Box:
    count: int
    tags: list[str]
    notes: dict[str, float]
    part: Part | None
    parts: list[Part]


def boxes() -> list[Box]:
    return [Box(n, ["a"], {"x": float("nan")}, Part(n), [Part(1)]) for n in range(3)]


def set_size(part: Part) -> None:
    part.size = 9


@pytest.mark.parametrize(
    ("name", "change", "stored"),
    [
        ("tags", lambda tags: tags.append("b"), ["a", "b"]),
        ("notes", lambda notes: notes.update(x=0.5), [("x", 0.5)]),
        ("part", set_size, {"size": 9, "names": []}),
        ("part", lambda part: part.names.append("n"), {"size": 1, "names": ["n"]}),
        ("parts", lambda parts: set_size(parts[0]), [{"size": 9, "names": []}]),
    ],
)
def test_values_that_a_step_changes_in_place_are_stored(
    execute: Execute, name: str, change: Callable[[Any], Any], stored: Any
) -> None:
    def step(batch: Any) -> Status:
        change(batch[name][1])
        return Status.DONE

    done = execute(step, boxes(), batch=True)
    assert done.change(name) == ["-", stored, "-"]


def test_values_that_a_step_only_reads_are_not_written(execute: Execute) -> None:
    def step(batch: Any) -> Status:
        assert len(batch["tags"]) + len(batch["part"]) + len(batch["parts"]) == 9
        return Status.DONE

    assert not execute(step, boxes(), batch=True).result.changes


def test_an_assigned_column_may_be_changed_in_place_as_well(execute: Execute) -> None:
    def step(batch: Any) -> Status:
        batch["tags"] = pa.array([["x"], None, ["y"]])
        batch["tags"][0].append("z")
        return Status.DONE

    done = execute(step, boxes(), batch=True)
    assert done.change("tags")[0::2] == [["x", "z"], ["y"]]
    assert done.failures[1][1].startswith("Step 'step' left None in field 'tags'")


@pytest.mark.parametrize("alone", [True, False])
def test_a_change_that_cannot_be_stored_fails_its_run_only(execute: Execute, alone: bool) -> None:
    def step(batch: Any) -> Status:
        for row in np.flatnonzero(batch["count"] == 1):
            batch["parts"][row][0].sise = 2
            batch["part"][row].size = "large"
        return Status.DONE

    done = execute(step, boxes()[1:2] if alone else boxes(), batch=True)
    ((kind, message),) = done.failures.values()
    assert kind == "InvalidObject"
    assert "Part has no field 'sise'" in message


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("part", Part(1), "a Part with the extra attribute 'sise' in field 'part'"),
        ("parts", [Part(1)], "a Part with the extra attribute 'sise' as item in field 'parts'"),
    ],
)
def test_an_assigned_dataclass_with_an_extra_attribute_fails_its_run_only(
    execute: Execute, name: str, value: Any, found: str
) -> None:
    def step(batch: Any) -> Status:
        odd = copy.deepcopy(value)
        (odd[0] if isinstance(odd, list) else odd).sise = 2
        batch[name] = [value, odd, value]
        return Status.DONE

    done = execute(step, boxes(), batch=True)
    ((kind, message),) = done.failures.values()
    assert (kind, list(done.failures)) == ("InvalidObject", [1])
    assert f"Step 'step' left {found}" in message

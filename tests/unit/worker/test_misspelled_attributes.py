"""An assignment to an attribute that isn't a field fails its run, with the closest field's name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from step_harness import Execute, Item, Status, items

DONE = Status.DONE


@dataclass
class Address:
    city: str
    zip_code: str = ""


@dataclass(slots=True)
class Slim:
    city: str


@dataclass
class Person:
    limit: ClassVar[int] = 3
    name: str
    count: int = 0
    home: Address | None = None
    others: list[Address] = field(default_factory=list)
    slim: Slim | None = None

    def greet(self) -> str:
        return f"hello {self.name}"

    @property
    def loud(self) -> str:
        return self.name.upper()

    @functools.cached_property
    def initial(self) -> str:
        return self.name[0]


@dataclass
class Tidy:
    name: str
    count: int = 0

    def __post_init__(self) -> None:
        self.trimmed = self.name.strip()


@dataclass(slots=True)
class Slotted:
    name: str
    count: int = 0


@dataclass(frozen=True)
class Frozen:
    name: str
    count: int = 0


def people(count: int) -> list[Person]:
    return [
        Person(f"n{row}", row, Address("Bern"), [Address("Basel")], Slim("Chur"))
        for row in range(count)
    ]


def sets(path: str) -> Callable[[Any], Any]:
    """Return a step that assigns to the attribute for the run with count 1."""

    def step(run: Any) -> Any:
        if run.object.count == 1:
            exec(f"run.{path} = 'x'", {"run": run})
        return DONE

    return step


def replaces(run: Any) -> Any:
    if run.object.count == 1:
        run.object = Person("new")
        run.object.cuont = 3
    return DONE


def by_vars(run: Any) -> Any:
    if run.object.count == 1:
        vars(run.object)["cuont"] = 3
    return DONE


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (sets("object.cuont"), "Person has no field 'cuont'", ),
        (sets("object.greet"), "Person has no field 'greet'"),
        (sets("object.limit"), "Person has no field 'limit'"),
        (sets("object.home.zipcode"), "Address has no field 'zipcode'"),
        (sets("object.others[0].zipcode"), "Address has no field 'zipcode'"),
        (sets("object.slim.citty"), "'Slim' object has no attribute 'citty'"),
        (sets("cuont"), "'Run' object has no attribute 'cuont'"),
        (replaces, "Person has no field 'cuont'"),
        (by_vars, "Person has no field 'cuont'"),
    ],
)  # fmt: skip
def test_only_the_run_with_the_misspelled_attribute_fails(
    execute: Execute, step: Any, found: str
) -> None:
    done = execute(step, people(3))
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert found in done.failures[1][1]


@pytest.mark.parametrize(
    ("path", "closest"),
    [
        ("object.cuont", "'count'"),
        ("object.home.zipcode", "'zip_code'"),
        ("object.slim.citty", "'city'"),
        ("cuont", "run.object.count"),
    ],
)
def test_the_closest_name_is_in_the_message(execute: Execute, path: str, closest: str) -> None:
    assert execute(sets(path), people(2)).failures[1][1].endswith(f"Did you mean {closest}?")


@pytest.mark.parametrize("object_type", [Tidy, Slotted, Frozen])
def test_objects_that_are_built_whole_are_checked_too(execute: Execute, object_type: Any) -> None:
    done = execute(sets("object.cuont"), [object_type("a", row) for row in range(3)])
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert "cuont" in done.failures[1][1]


@pytest.mark.parametrize("threads", [1, 2])
def test_caches_of_the_class_and_properties_are_no_fields_and_do_no_harm(
    execute: Execute, threads: int
) -> None:
    def step(run: Any) -> Any:
        run.object.count += len(run.object.initial + run.object.loud)
        return DONE

    done = execute(step, people(2), threads=threads)
    assert done.outcomes == ["ADVANCED"] * 2
    assert done.change("count") == [3, 4]


def test_attributes_that_a_class_sets_itself_do_no_harm(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object.count = len(run.object.trimmed)
        return DONE

    assert execute(step, [Tidy(" a ")]).change("count") == [1]


def test_an_attribute_of_a_batch_cannot_be_assigned(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        batch.count = 1
        return DONE

    message = "A batch has no attribute 'count' to assign to. Write batch['count'] = values."
    assert execute(step, items(1), batch=True).failures[0] == ("AttributeError", message)


def test_an_object_that_the_step_keeps_is_not_used_for_the_next_run(execute: Execute) -> None:
    kept: list[Item] = []

    def step(run: Any) -> Any:
        if run.object.count % 2:
            kept.append(run.object)
        run.object.count += 10
        return DONE

    done = execute(step, items(5))
    assert done.change("count") == [10, 11, 12, 13, 14]
    assert [(item.name, item.count) for item in kept] == [("n1", 11), ("n3", 13)]

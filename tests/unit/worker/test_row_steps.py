from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import gc
import uuid
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from step_harness import RUN_ID_BASE, Execute, Item, Status, items, make_chunk

from kit.effort import examples

BATCHES_OF_ONE = examples(50)


@dataclass(frozen=True)
class FrozenItem:
    name: str
    count: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class SlottedItem:
    name: str
    count: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass
class Part:
    name: str


@dataclass
class Assembly:
    parts: list[Part]


@dataclass
class TidyItem:
    name: str
    count: int = 0
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count is below 0")
        self.name = self.name.strip()


class Cell(list[int]):
    """A cell that records its assignments."""

    def __init__(self, notes: list[int]) -> None:
        super().__init__([-1])
        self._notes = notes

    def __setitem__(self, place: Any, row: Any) -> None:
        super().__setitem__(place, row)
        self._notes.append(row)


class Counter:
    """A control that requests a stop after some calls, and records them."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.rows: list[int] = []
        self.current_row = Cell(self.rows)
        self.entered: list[int] = []
        self.deadlines: list[float | None] = []
        self.left = 0
        self.begun: list[int] = []

    def begin_step(self, code: int) -> None:
        self.begun.append(code)

    def stopping(self) -> bool:
        return len(self.rows) >= self.calls

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        assert rows >= 1
        self.entered.append(row)
        self.deadlines.append(deadline)

    def leave(self) -> None:
        self.left += 1


def test_a_run_advances_to_the_status_that_the_step_returns(execute: Execute) -> None:
    def step(run: Any) -> Any:
        return Status.BAD if run.object.count == 1 else Status.DONE

    done = execute(step, items(3))
    assert done.outcomes == ["ADVANCED"] * 3
    assert done.to == ["DONE", "BAD", "DONE"]
    assert not done.result.changes
    assert not done.failures


def test_changes_are_kept_when_a_run_advances_or_repeats_and_dropped_otherwise(
    execute: Execute,
) -> None:
    def step(run: Any) -> Any:
        run.object.count += 10
        run.object.tags.append("seen")
        ways = [
            lambda: Status.DONE,
            run.repeat,
            run.skip,
            lambda: run.pause("wait"),
            lambda: run.cancel("gone"),
            lambda: 1 / 0,
            lambda: None,
        ]
        return ways[run.object.count - 10]()

    done = execute(step, items(7))
    kinds = ["ADVANCED", "REPEATED", "SKIPPED", "PAUSED", "CANCELLED", "FAILED", "FAILED"]
    assert done.outcomes == kinds
    assert done.to == ["DONE", "NEW", None, None, None, None, None]
    assert done.change("count") == [10, 11, "-", "-", "-", "-", "-"]
    assert done.change("tags") == [["seen"], ["seen"], "-", "-", "-", "-", "-"]
    assert done.reasons == {3: "wait", 4: "gone"}
    assert done.failures[5] == ("ZeroDivisionError", "division by zero")
    assert done.failures[6][0] == "InvalidOutcome"


def test_runs_that_the_step_does_not_change_keep_their_values(execute: Execute) -> None:
    def step(run: Any) -> Any:
        if run.object.count != 1:
            run.object.price = 2.5
        return Status.DONE

    done = execute(step, [Item("a", 0), Item("b", 1, price=9.0), Item("c", 2)])
    assert done.change("price") == [2.5, 9.0, 2.5]


class Stranger(enum.Enum):
    DONE = "done"


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("never ask")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, "None: it returned nothing"),
        (Status.ELSEWHERE, "ELSEWHERE, which isn't declared"),
        (Stranger.DONE, "a value of type Stranger"),
        ("DONE", "the name of DONE; give the member itself"),
        (1, "a value of type int"),
        ([Status.DONE], "a value of type list"),
        (Unequal(), "a value of type Unequal"),
    ],
)
def test_an_undeclared_answer_fails_only_its_run(execute: Execute, answer: Any, found: str) -> None:
    done = execute(lambda run: answer if run.object.count else Status.DONE, items(2))
    assert done.outcomes == ["ADVANCED", "FAILED"]
    kind, message = done.failures[1]
    assert kind == "InvalidOutcome"
    assert found in message
    assert "allowed are DONE, BAD" in message
    assert "'<lambda>'" in message


def test_a_value_that_does_not_fit_its_field_fails_only_its_run(execute: Execute) -> None:
    def step(run: Any) -> Any:
        odd: list[Any] = [5, "secret", None, 2.5, True, 7]
        run.object.count = odd[run.object.count]
        return Status.DONE

    done = execute(step, items(6))
    assert [row for row, outcome in enumerate(done.outcomes) if outcome == "FAILED"] == [1, 2, 3, 4]
    assert done.change("count") == [5, "-", "-", "-", "-", 7]
    assert done.failures[1][0] == "InvalidObject"
    assert done.failures[1][1] == "Step 'step' left a str in field 'count'; it takes int."
    assert not any("secret" in message for _, message in done.failures.values())


def test_a_value_that_does_not_fit_matters_only_if_it_would_be_stored(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object.count = "nonsense"
        return run.skip()

    done = execute(step, items(2))
    assert done.outcomes == ["SKIPPED", "SKIPPED"]
    assert not done.failures


def test_a_step_may_replace_the_object_of_its_run(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object = dataclasses.replace(run.object, price=1.5, tags=["new"])
        return Status.DONE

    done = execute(step, items(2))
    assert done.change("price") == [1.5, 1.5]
    assert done.change("tags") == [["new"], ["new"]]
    assert set(done.result.changes) == {"price", "tags"}


def test_a_step_may_reuse_the_object_of_another_run(execute: Execute) -> None:
    kept: list[Any] = []

    def step(run: Any) -> Any:
        kept.append(run.object)
        run.object = kept[0]
        return Status.DONE

    done = execute(step, items(3))
    assert done.change("name") == ["n0", "n0", "n0"]


def test_an_object_of_another_class_fails_its_run(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object = {"name": "x"}
        return Status.DONE

    done = execute(step, items(1))
    assert done.failures[0][0] == "InvalidObject"
    assert "type dict; it must be an instance of Item" in done.failures[0][1]


def test_an_object_kept_from_an_earlier_run_no_longer_changes_it(
    execute: Execute,
) -> None:
    kept: list[Any] = []

    def step(run: Any) -> Any:
        for earlier in kept:
            earlier.count = 1_000
            earlier.tags.append("late")
        kept.append(run.object)
        run.object.count += 1
        return Status.DONE

    done = execute(step, items(3))
    assert done.change("count") == [1, 2, 3]
    assert "tags" not in done.result.changes
    assert [order.count for order in kept] == [1_000, 1_000, 3]


@pytest.mark.parametrize("object_type", [FrozenItem, SlottedItem, TidyItem])
def test_a_class_that_is_built_whole_gives_the_same_results(
    execute: Execute, object_type: Any
) -> None:
    def step(run: Any) -> Any:
        assert type(run.object) is object_type
        run.object.tags.append("seen")
        run.object = dataclasses.replace(run.object, count=run.object.count + 1)
        return run.skip() if run.object.count == 3 else Status.DONE

    done = execute(step, [object_type(f"n{row}", row) for row in range(3)])
    assert done.outcomes == ["ADVANCED", "ADVANCED", "SKIPPED"]
    assert done.change("count") == [1, 2, "-"]
    assert done.change("tags") == [["seen"], ["seen"], "-"]
    assert "name" not in done.result.changes


def test_a_class_that_rejects_stored_values_fails_only_those_runs(execute: Execute) -> None:
    objects = [TidyItem("a", 1), TidyItem("b", 1)]
    objects[1].count = -1
    done = execute(lambda run: Status.DONE, objects)
    assert done.outcomes == ["ADVANCED", "FAILED"]
    assert done.failures[1] == ("ValueError", "count is below 0")


def test_values_that_a_class_normalises_are_stored(execute: Execute) -> None:
    untidy = TidyItem("a")
    untidy.name = "  a "
    done = execute(lambda run: Status.DONE, [untidy])
    assert done.change("name") == ["a"]


def test_a_run_knows_its_ids_status_attempt_and_time(execute: Execute) -> None:
    seen: list[Any] = []

    def step(run: Any) -> Any:
        seen.append((run.run_id, run.foreign_id, run.status, run.attempt, run.created_at))
        assert not run.stopping
        return Status.DONE

    execute(step, items(2))
    created = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert seen == [
        (uuid.UUID(int=RUN_ID_BASE + row), f"f{row}", Status.NEW, 2, created) for row in range(2)
    ]


def test_unstarted_runs_are_returned_when_a_stop_is_requested(execute: Execute) -> None:
    control = Counter(calls=1)
    done = execute(lambda run: Status.DONE, items(3), control=control)
    assert done.outcomes == ["ADVANCED", "RETURNED", "RETURNED"]
    assert control.rows == [0]
    assert control.left


def test_at_least_one_run_is_executed_in_any_slice(execute: Execute) -> None:
    done = execute(lambda run: Status.DONE, items(3), facts={"slice_seconds": 0.0})
    assert done.outcomes == ["ADVANCED", "RETURNED", "RETURNED"]


def test_the_control_sees_each_call_with_its_deadline(execute: Execute) -> None:
    control = Counter(calls=10)
    execute(lambda run: Status.DONE, items(3), control=control, timeout_seconds=60)
    assert control.begun == [0]
    assert control.rows == [0, 1, 2]
    assert control.entered == [-1, 0, 1, 2]
    assert all(deadline is not None for deadline in control.deadlines[1:])
    assert control.left


def test_a_run_that_its_step_keeps_is_not_reused(execute: Execute) -> None:
    kept: list[Any] = []

    def step(run: Any) -> Any:
        kept.append(run)
        return Status.DONE

    execute(step, items(3))
    assert len({id(run) for run in kept}) == 3
    assert len({run.foreign_id for run in kept}) == 3


def test_a_run_is_stopping_when_the_time_of_its_step_is_up(execute: Execute) -> None:
    def step(run: Any) -> Any:
        while not run.stopping:
            pass
        return run.repeat()

    done = execute(step, items(2), timeout_seconds=0.01)
    assert done.outcomes == ["REPEATED", "REPEATED"]


def test_an_empty_chunk_has_an_empty_result(execute: Execute) -> None:
    done = execute(lambda run: Status.DONE, [])
    assert done.outcomes == []


@dataclass
class Plan:
    """The plan of a step for one run."""

    count: Any
    price: Any
    tags: list[str] | None
    answer: str


PLANS = st.builds(
    Plan,
    count=st.sampled_from([None, 1, 2**63, "x", 1.5]),
    price=st.sampled_from([None, 1, 0.5, "x"]),
    tags=st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2),
    answer=st.sampled_from(
        ["DONE", "BAD", "ELSEWHERE", "skip", "repeat", "pause", "raise", "none"]
    ),
)


def follow(plans: list[Plan], run: Any) -> Any:
    plan = plans[int(run.foreign_id[1:])]
    run.object.count = plan.count
    run.object.price = plan.price
    if plan.tags is not None:
        run.object.tags.extend(plan.tags)
    match plan.answer:
        case "skip" | "repeat":
            return getattr(run, plan.answer)()
        case "pause":
            return run.pause("why")
        case "raise":
            raise RuntimeError("no")
        case "none":
            return None
    return Status[plan.answer]


@BATCHES_OF_ONE
@given(st.lists(PLANS, min_size=1, max_size=6))
def test_the_result_of_a_run_does_not_depend_on_the_rest_of_its_chunk(
    execute: Execute, plans: list[Plan]
) -> None:
    objects = items(len(plans))
    together = execute(functools.partial(follow, plans), objects)
    for row in range(len(plans)):
        rows = make_chunk(objects, Item).rows.slice(row, 1)
        alone = execute(functools.partial(follow, plans), objects, facts={"rows": rows})
        assert alone.outcomes == together.outcomes[row : row + 1]
        assert alone.to == together.to[row : row + 1]
        assert alone.failures.get(0) == together.failures.get(row)
        for name in ("count", "price", "tags"):
            ours = alone.change(name)[0] if name in alone.result.changes else "-"
            theirs = together.change(name)[row] if name in together.result.changes else "-"
            assert ours == theirs


def test_what_a_chunk_took_is_freed_without_the_garbage_collector(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object.count += len(run.object.name)
        return Status.DONE

    execute(step, items(3))
    gc.collect()
    gc.disable()
    try:
        execute(step, items(3))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [each for each in gc.garbage if type(each).__module__.startswith("batchflow.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []


def test_a_run_that_a_step_keeps_has_the_values_that_it_left(execute: Execute) -> None:
    kept: list[Any] = []

    def step(run: Any) -> Any:
        run.object.tags.append(run.object.name)
        run.object.count += 1
        kept.append(run)
        for earlier in kept[:-1]:
            earlier.object.tags.append("late")
            earlier.object.count = -1
        return Status.DONE

    done = execute(step, items(3))

    assert done.change("tags") == [["n0"], ["n1"], ["n2"]]
    assert done.change("count") == [1, 2, 3]
    assert [run.object.tags for run in kept] == [["n0", "late", "late"], ["n1", "late"], ["n2"]]
    assert [run.object.count for run in kept] == [-1, -1, 3]


def test_the_nested_values_of_runs_are_freed_before_their_chunk_is_done(execute: Execute) -> None:
    made: list[weakref.ref[Any]] = []

    def step(run: Any) -> Any:
        part = Part("new")
        run.object.parts.append(part)
        made.append(weakref.ref(part))
        return Status.DONE if made[0]() is not None else Status.BAD

    done = execute(step, [Assembly([]) for _ in range(2000)])

    assert done.to[-1] == "BAD"

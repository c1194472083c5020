from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from batchflow.definition import Workflow
from batchflow.errors import DefinitionError


class Status(enum.Enum):
    A = "a"
    B = "b"
    C = "c"
    D = "d"
    LAST = "d"  # noqa: PIE796 - an alias


class Other(enum.Enum):
    A = "a"


class Text(enum.StrEnum):
    OPEN = "CLOSED"
    CLOSED = "OPEN"


@dataclass
class Thing:
    count: int
    status: str = ""


def move(run: Any) -> Status:
    return Status.B


Make = Callable[..., Workflow[Thing, Status]]


@pytest.fixture
def make() -> Make:
    return lambda *args, **options: Workflow("things", Thing, Status, *args, **options)


def problems_of(workflow: Workflow[Any, Any]) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        workflow.check()
    return list(caught.value.problems)


def test_the_order_workflow_passes_its_check(orders) -> None:
    orders.check()

    assert {step.name for step in orders.steps.values()} == {"validate", "charge", "sql:PAID"}
    assert orders.starting_codes == {0}
    assert {orders.statuses[code].name for code in orders.terminal_codes} == {
        "REJECTED",
        "PAYMENT_FAILED",
        "FULFILLED",
    }
    assert orders.rank.tolist() == [0, 1, 1, 2, 2, 3]


def test_messages_show_a_status_that_is_a_text_by_its_name() -> None:
    workflow = Workflow("things", Thing, Text)
    workflow.add_step(Text.OPEN, move, Text.CLOSED)
    workflow.add_step(Text.OPEN, move, Text.CLOSED, Status.A)
    assert problems_of(workflow) == [
        "Step 'move' on Text.OPEN: Status.A in 'to' is not a status. Give a member of Text.",
        "Steps 'move' and 'move' both take the runs at Text.OPEN. Only one step can.",
    ]


def test_decorators_return_the_function_itself(make: Make) -> None:
    workflow = make()

    assert workflow.step(Status.A, to=Status.B)(move) is move
    assert workflow.batch_step(Status.B, to=Status.C)(move) is move
    assert workflow.steps[0].function is move


def test_a_destination_may_be_a_status_or_any_iterable(make: Make) -> None:
    workflow = make()
    workflow.step(Status.A, to=iter([Status.B, Status.A, Status.B]))(move)
    workflow.step(Status.B, to=Status.C)(move)

    workflow.check()

    assert workflow.steps[0].to == (Status.B, Status.A)
    assert workflow.steps[0].to_codes == (1, 0)
    assert workflow.steps[1].to == (Status.C,)


def test_a_decorator_with_an_iterator_can_be_used_twice(make: Make) -> None:
    workflow = make()
    decorate = workflow.step(Status.A, to=iter([Status.B]))
    decorate(move)
    decorate(move)

    assert problems_of(workflow) == [
        "Steps 'move' and 'move' both take the runs at Status.A. Only one step can."
    ]


def test_steps_are_added_in_a_loop(make: Make) -> None:
    workflow = make()
    for before, after in zip(workflow.statuses, workflow.statuses[1:], strict=False):
        workflow.add_step(before, move, after, batch=after is Status.D)

    workflow.check()

    assert [step.kind.name for step in workflow.steps.values()] == ["ROW", "ROW", "BATCH"]


def test_every_problem_is_listed_at_once(make: Make) -> None:
    workflow = make(parallel=0)
    workflow.step(Status.A, to=[Other.A, Status.B], columns=["cuont"])(move)  # type: ignore[list-item]
    workflow.add_step(Status.A, move, Status.B)
    workflow.add_step(Status.C, move, Status.D)
    workflow.add_step(Status.D, move, Status.C)

    problems = problems_of(workflow)

    unreachable = "Step 'move' is unreachable, because no starting point leads to {}. "
    assert problems == [
        "Option 'parallel' is 0. Give a whole number, 1 or greater, or None.",
        "Step 'move' on Status.A: Other.A in 'to' is not a status. Give a member of Status.",
        "Step 'move' on Status.A: column 'cuont' is not a field. The fields are count, status.",
        "Steps 'move' and 'move' both take the runs at Status.A. Only one step can.",
        unreachable.format("Status.C") + "Add it to the 'to' of a step.",
        unreachable.format("Status.D") + "Add it to the 'to' of a step.",
    ]


def test_a_workflow_without_steps_is_an_error(make: Make) -> None:
    assert problems_of(make()) == ["It has no steps. Add at least one."]


def test_a_workflow_without_a_starting_point_is_an_error(make: Make) -> None:
    workflow = make()
    workflow.add_step(Status.A, move, Status.B)
    workflow.add_step(Status.B, move, Status.A)

    (problem,) = problems_of(workflow)

    assert problem.startswith("It has no starting point")


@pytest.mark.parametrize("wrong", [Other.A, "A", 0, None])
def test_a_step_for_something_else_than_a_status_is_an_error(make: Make, wrong: Any) -> None:
    workflow = make()
    workflow.add_step(wrong, move, Status.B)

    assert " is not a status. Give a member of Status." in problems_of(workflow)[0]


@pytest.mark.parametrize("wrong", [Other.A, "B", ["B"], [1], 7, None])
def test_a_destination_that_is_no_member_is_an_error(make: Make, wrong: Any) -> None:
    workflow = make()
    workflow.step(Status.A, to=wrong)(move)

    assert "in 'to' is not a status. Give a member of Status." in problems_of(workflow)[0]


def test_a_step_without_destinations_is_an_error(make: Make) -> None:
    workflow = make()
    workflow.add_step(Status.A, move)

    assert "'to' is empty" in problems_of(workflow)[0]


def test_a_step_whose_function_cannot_be_called_is_an_error(make: Make) -> None:
    workflow = make()
    workflow.add_step(Status.A, 5, Status.B)  # type: ignore[arg-type]

    assert "the function is 5" in problems_of(workflow)[0]


def test_the_error_names_the_workflow(make: Make) -> None:
    with pytest.raises(DefinitionError, match="Workflow 'things' has 1 problem:\nIt has no steps"):
        make().check()


def test_a_workflow_in_use_cannot_be_changed(make: Make) -> None:
    workflow = make()
    workflow.add_step(Status.A, move, Status.B)
    workflow.check()
    workflow.check()

    with pytest.raises(DefinitionError, match="Workflow 'things' is already in use"):
        workflow.add_step(Status.B, move, Status.C)
    assert list(workflow.steps) == [0]


def test_a_workflow_that_failed_its_check_can_be_completed(make: Make) -> None:
    workflow = make()
    problems_of(workflow)

    workflow.add_step(Status.A, move, Status.B)

    workflow.check()
    assert workflow.terminal_codes == {1, 2, 3}


def test_the_steps_are_read_only(make: Make) -> None:
    with pytest.raises(TypeError):
        make().steps[0] = None  # type: ignore[index]


def test_codes_follow_the_definition_and_aliases_have_none(make: Make) -> None:
    workflow = make()

    assert workflow.statuses == (Status.A, Status.B, Status.C, Status.D)
    assert [workflow.code_of(status) for status in workflow.statuses] == [0, 1, 2, 3]
    assert workflow.code_of("C") == 2
    assert workflow.code_of(Status.LAST) == 3


def test_a_member_that_is_a_string_is_known_by_its_name_and_not_its_value() -> None:
    workflow = Workflow("things", Thing, Text)

    assert workflow.code_of(Text.OPEN) == 0
    assert workflow.code_of("OPEN") == 0


@pytest.mark.parametrize("wrong", ["a", "LAST", Other.A, 0, None])
def test_the_code_of_something_else_than_a_status_is_an_error(make: Make, wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r"of Status\..* The statuses are A, B, C, D"):
        make().code_of(wrong)


def test_fields_are_found_by_name(make: Make) -> None:
    assert make().field("status").column == "object_status"
    with pytest.raises(DefinitionError, match=r"no field 'colour'\. The fields are count"):
        make().field("colour")


@pytest.mark.parametrize(
    "name",
    ["", "  ", "x" * 121, "Main", "TEMP", "batchflow", "information_schema", "a\nb", 5, None],
)
def test_a_name_that_the_store_cannot_use_is_an_error(name: Any) -> None:
    with pytest.raises(DefinitionError, match="The workflow's name"):
        Workflow(name, Thing, Status)


@pytest.mark.parametrize("name", ["x" * 120, "my orders", 'say "hi"', "Aufträge", "a.b"])
def test_any_other_name_is_accepted(name: str) -> None:
    assert Workflow(name, Thing, Status).name == name


@pytest.mark.parametrize("status_type", [str, Status.A, None, enum.Enum, enum.Enum("None_", [])])
def test_a_status_type_without_members_is_an_error(status_type: Any) -> None:
    with pytest.raises(DefinitionError, match="The status type"):
        Workflow("things", Thing, status_type)


def test_more_statuses_than_codes_are_an_error() -> None:
    many = enum.Enum("many", [f"S{number}" for number in range(257)])

    with pytest.raises(DefinitionError, match=r"has 257 members\. Give it 1 to 256"):
        Workflow("things", Thing, many)


def test_an_object_type_that_is_no_dataclass_is_an_error_at_once() -> None:
    with pytest.raises(DefinitionError, match="int, which is not a dataclass"):
        Workflow("things", int, Status)

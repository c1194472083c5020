from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import pytest

from batchflow.definition import Step, StepKind, Workflow
from batchflow.errors import DefinitionError


class Status(enum.StrEnum):
    OPEN = "open"
    SMALL = "small"
    LARGE = "large"


@dataclass
class Thing:
    count: int
    name: str = ""


def the_step(to: Any = (Status.SMALL, Status.LARGE), **options: Any) -> Step:
    workflow = Workflow("things", Thing, Status)
    workflow.sql_step(Status.OPEN, to=to, **options)
    workflow.check()
    return workflow.steps[0]


@pytest.mark.parametrize("status", [Status.LARGE, "LARGE"])
def test_a_constant_status_is_a_member_or_its_name(status: str) -> None:
    step = the_step(status=status)

    assert step.kind is StepKind.SQL
    assert step.constant_status is Status.LARGE
    assert step.status_expression is None


@pytest.mark.parametrize("status", ["if(count > 5, 'LARGE', 'SMALL')", "name", "NAME"])
def test_any_other_text_is_an_expression(status: str) -> None:
    step = the_step(status=status)

    assert step.constant_status is None
    assert step.status_expression == status


def test_the_status_is_optional_if_there_is_only_one() -> None:
    assert the_step(to=Status.SMALL).constant_status is Status.SMALL


def test_the_expressions_are_kept_by_field() -> None:
    step = the_step(status=Status.SMALL, set={"count": "count + 1"})

    assert step.set_expressions == {"count": "count + 1"}
    assert step.function is None
    assert step.name == "sql:OPEN"
    assert not step.is_async


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "'status' is None. Give one of SMALL, LARGE, or a SQL expression"),
        ({"status": " "}, "Give one of SMALL, LARGE, or a SQL expression"),
        ({"status": "LAREG"}, "'status' is 'LAREG'. Give one of SMALL, LARGE"),
        ({"status": 5}, "'status' is 5. Give one of SMALL, LARGE"),
        ({"status": "OPEN"}, "isn't in 'to'. Give one of SMALL, LARGE"),
        ({"status": Status.OPEN}, "isn't in 'to'. Give one of SMALL, LARGE"),
        (
            {"status": Status.SMALL, "set": {"cuont": "1"}},
            "'set' has 'cuont', which is not a field",
        ),
        ({"status": Status.SMALL, "set": {"count": 1}}, "'set' has 1 for 'count'. Give a SQL"),
        ({"status": Status.SMALL, "set": ["count"]}, r"'set' is \['count'\]\. Give a dict"),
        ({"status": Status.SMALL, "columns": ["count"]}, "a SQL step has no option 'columns'"),
        ({"status": Status.SMALL, "threads": 2}, "a SQL step has no option 'threads'"),
    ],
)
def test_an_invalid_declaration_is_an_error(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(DefinitionError, match=expected):
        the_step(**options)

from __future__ import annotations

import enum
import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from batchflow.definition import Retry, Step, StepOptions, Workflow
from batchflow.errors import DefinitionError


class Status(enum.Enum):
    A = "a"
    B = "b"


@dataclass
class Thing:
    count: int
    name: str = ""


def move(run: Any) -> Status:
    return Status.B


async def wait(run: Any) -> Status:
    return Status.B


def yielding(run: Any) -> Iterator[Status]:
    yield Status.B


async def yielding_too(run: Any) -> AsyncIterator[Status]:
    yield Status.B


@dataclass(frozen=True)
class FrozenThing:
    count: int
    name: str = ""


class AsyncCallable:
    async def __call__(self, _run: Any) -> Status:
        return Status.B


def the_step(*args: Any, function: Any = move, batch: bool = False, **options: Any) -> Step:
    defaults = args[0] if args else {}
    workflow = Workflow("things", Thing, Status, **defaults)
    workflow.add_step(Status.A, function, Status.B, batch=batch, **options)
    workflow.check()
    return workflow.steps[0]


def test_a_step_without_options_has_the_defaults() -> None:
    assert the_step().options == StepOptions()


def test_a_step_inherits_the_options_that_it_does_not_name() -> None:
    options = the_step(
        {"parallel": 3, "chunk_rows": 100, "timeout_seconds": 2.5}, chunk_rows=7
    ).options

    assert (options.parallel, options.chunk_rows, options.timeout_seconds) == (3, 7, 2.5)


def test_an_option_of_none_overrides_the_limit_of_the_workflow() -> None:
    assert the_step({"timeout_seconds": 5}, timeout_seconds=None).options.timeout_seconds is None


def test_a_retry_is_merged_part_by_part() -> None:
    defaults = {"retry": Retry(backoff_seconds=10, pause_after=None)}

    options = the_step(defaults, retry=Retry(jitter=0)).options

    assert options.retry == Retry(backoff_seconds=10, pause_after=None, jitter=0)


def test_a_retry_of_none_is_that_of_the_workflow() -> None:
    assert the_step({"retry": Retry(jitter=0)}, retry=None).options.retry == Retry(jitter=0)


def test_columns_are_kept_once_each() -> None:
    assert the_step(columns=["name", "count", "name"]).options.columns == ("name", "count")
    assert the_step(columns=[]).options.columns == ()


@pytest.mark.parametrize(("batch", "columns"), [(False, None), (True, ("count",))])
def test_a_row_step_reads_all_columns_if_its_object_needs_them(
    batch: bool, columns: tuple[str, ...] | None
) -> None:
    workflow = Workflow("things", FrozenThing, Status)
    workflow.add_step(Status.A, move, Status.B, batch=batch, columns=["count"])
    assert workflow.steps[0].options.columns == columns


@pytest.mark.parametrize(
    ("function", "expected"),
    [(move, False), (wait, True), (functools.partial(wait), True), (AsyncCallable(), True)],
)
def test_a_step_knows_whether_it_is_async(function: Any, expected: bool) -> None:
    assert the_step(function=function).is_async is expected


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (move, "move"),
        (functools.partial(functools.partial(move)), "move"),
        (AsyncCallable(), "AsyncCallable"),
    ],
)
def test_a_step_is_named_for_its_function(function: Any, name: str) -> None:
    assert the_step(function=function).name == name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("parallel", 0),
        ("parallel", True),
        ("parallel", 1.5),
        ("chunk_rows", -1),
        ("timeout_seconds", 0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", "5"),
        ("retry", 3),
        ("columns", "name"),
        ("columns", [1]),
        ("concurrency", 0),
        ("concurrency", None),
        ("threads", 0),
        ("threads", None),
        ("commit", "between"),
        ("commit", ["before"]),
        ("side_effects", 1),
        ("side_effects", None),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_option(option: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=f"Step 'move' on Status.A: option '{option}' is "):
        the_step(**{option: value})


def test_an_unknown_option_is_an_error_that_lists_the_options() -> None:
    with pytest.raises(
        DefinitionError, match=r"a step has no option 'paralel'\. The options are chunk_rows"
    ):
        the_step(paralel=2)


def test_commits_are_options_of_the_step_alone() -> None:
    options = the_step(commit="after", side_effects=True).options

    assert (options.commit, options.side_effects) == ("after", True)
    with pytest.raises(DefinitionError, match="A workflow has no option 'commit'"):
        the_step({"commit": "after"})


@pytest.mark.parametrize("option", ["concurrency", "threads"])
def test_a_batch_step_has_no_options_of_row_steps(option: str) -> None:
    with pytest.raises(DefinitionError, match=f"a batch step has no option '{option}'"):
        the_step(batch=True, **{option: 2})


@pytest.mark.parametrize(
    ("function", "batch", "options", "expected"),
    [
        (wait, True, {}, "the function is async, but only row steps can be"),
        (wait, False, {"threads": 2}, "Use 'concurrency' instead"),
        (move, False, {"concurrency": 2}, "Use 'threads' instead"),
        (lambda: Status.B, False, {}, "the function can't be called with one argument"),
        (lambda run, more: Status.B, True, {}, "the function can't be called with one argument"),
        (yielding, False, {}, "the function has a 'yield'"),
        (yielding, True, {}, "the function has a 'yield'"),
        (yielding_too, False, {}, "the function has a 'yield'"),
    ],
)
def test_options_that_the_function_cannot_use_are_an_error(
    function: Any, batch: bool, options: dict[str, int], expected: str
) -> None:
    with pytest.raises(DefinitionError, match=expected):
        the_step(function=function, batch=batch, **options)


def test_a_backoff_above_its_maximum_is_an_error_once_merged() -> None:
    with pytest.raises(DefinitionError, match="backoff_seconds 600 is above max_backoff_seconds"):
        the_step({"retry": Retry(max_backoff_seconds=300)}, retry=Retry(backoff_seconds=600))

    assert the_step({"retry": Retry(max_backoff_seconds=900)}, retry=Retry(backoff_seconds=600))


@pytest.mark.parametrize("of_workflow", [{}, {"retry": Retry(pause_after=3)}])
def test_a_backoff_above_the_default_maximum_raises_it(of_workflow: Any) -> None:
    retry = the_step(of_workflow, retry=Retry(backoff_seconds=600)).options.retry

    assert (retry.backoff_seconds, retry.max_backoff_seconds) == (600, 600)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"paralel": 2}, "A workflow has no option 'paralel'"),
        ({"columns": ["name"]}, "A workflow has no option 'columns'"),
        ({"resources": ["db"]}, "Option 'resources' is"),
        ({"resources": {"db": "sqlite"}}, "Option 'resources' is"),
        ({"record_transitions": None}, "Option 'record_transitions' is None. Give True or False"),
        ({"visits": "no"}, "Option 'visits' is 'no'. Give True or False"),
    ],
)
def test_an_invalid_option_of_the_workflow_is_an_error(
    options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DefinitionError, match=expected):
        the_step(options)


def test_resources_and_transitions_are_kept_by_the_workflow() -> None:
    workflow = Workflow("things", Thing, Status, resources={"db": dict}, record_transitions=False)

    assert workflow.resources == {"db": dict}
    assert workflow.record_transitions is False
    assert Workflow("things", Thing, Status).record_transitions is True


@pytest.mark.parametrize(("given", "expected"), [({}, True), ({"visits": False}, False)])
def test_a_workflow_has_visits_unless_they_are_switched_off(given: Any, expected: bool) -> None:
    assert Workflow("things", Thing, Status, **given).visits is expected


@pytest.mark.parametrize("name", ["step", "batch_step", "sql_step"])
@pytest.mark.parametrize(
    ("args", "options", "found"),
    [
        ((move,), {}, "with a function instead of a status"),
        ((move,), {"to": Status.B}, "with a function instead of a status"),
        ((), {"to": Status.B}, "without the status whose runs the step takes"),
        ((Status.A, Status.B), {}, "with several statuses, but without 'to='"),
        ((Status.A,), {"chunk_rows": 2}, "without 'to', the statuses that the step may return"),
    ],
)
def test_a_step_without_its_statuses_is_refused_with_the_right_form(
    name: str, args: tuple[Any, ...], options: dict[str, Any], found: str
) -> None:
    with pytest.raises(DefinitionError) as raised:
        getattr(Workflow("things", Thing, Status), name)(*args, **options)
    assert str(raised.value).startswith(f"{name!r} is called {found}. Write ")
    assert f"workflow.{name}(status, to=next_status)" in str(raised.value)


def test_a_sql_step_used_as_a_decorator_is_refused_in_a_sentence() -> None:
    added = Workflow("things", Thing, Status).sql_step(Status.A, to=Status.B)
    with pytest.raises(DefinitionError, match=r"is used as the decorator of 'move', but"):
        added(move)  # type: ignore[arg-type]

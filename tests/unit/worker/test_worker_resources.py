from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from step_harness import Execute, Item, Status, make_chunk

from batchflow.definition import Workflow
from batchflow.errors import ResourceError
from batchflow.worker.control import NullControl
from batchflow.worker.execution import Execution


class Log(list[str]):
    """The events of the resources, in order."""


class Closable:
    def __init__(self, log: Log) -> None:
        self._log = log
        log.append("open")

    def close(self) -> None:
        self._log.append("close")


class Entered(Closable):
    def __enter__(self) -> str:
        self._log.append("enter")
        return "entered"

    def __exit__(self, *error: object) -> None:
        self._log.append("exit")


class AsyncClosable:
    def __init__(self, log: Log) -> None:
        self._log = log
        self.loop = asyncio.get_running_loop()
        log.append("open")

    async def aclose(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self._log.append("close")


def from_generator(log: Log) -> Any:
    @contextlib.contextmanager
    def connection() -> Iterator[str]:
        log.append("open")
        yield "connected"
        log.append("close")

    return connection()


def from_async_generator(log: Log) -> Any:
    @contextlib.asynccontextmanager
    async def connection() -> AsyncIterator[str]:
        log.append("open")
        yield "connected"
        log.append("close")

    return connection()


def execution_with(resources: dict[str, Callable[[], Any]], step: Callable[..., Any]) -> Execution:
    workflow = Workflow("things", Item, Status, resources=resources)
    workflow.add_step(Status.NEW, step, Status.DONE)
    return Execution({"things": workflow}, NullControl())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Closable, ["open", "close"]),
        (Entered, ["open", "enter", "exit", "close"]),
        (AsyncClosable, ["open", "close"]),
        (from_generator, ["open", "close"]),
        (from_async_generator, ["open", "close"]),
    ],
)
def test_a_resource_is_opened_once_and_closed_at_the_end(
    make: Callable[[Log], Any], expected: list[str]
) -> None:
    log, seen = Log(), []

    def step(run: Any) -> Any:
        seen.append(run.resources["db"])
        return Status.DONE

    execution = execution_with({"db": lambda: make(log)}, step)
    assert log == []
    for _ in range(2):
        execution.execute(make_chunk([Item("a")], Item))
    assert "close" not in log
    execution.close()
    assert log == expected
    assert seen[0] is seen[1]


def test_an_async_step_and_its_resource_share_a_loop() -> None:
    async def connect() -> Any:
        return AsyncClosable(Log())

    async def step(run: Any) -> Any:
        assert run.resources["client"].loop is asyncio.get_running_loop()
        return Status.DONE

    execution = execution_with({"client": connect}, step)
    for _ in range(2):
        result = execution.execute(make_chunk([Item("a")], Item))
        assert result.failures.num_rows == 0
    execution.close()


def test_a_resource_that_does_not_open_is_named_and_those_before_it_are_closed() -> None:
    log = Log()

    def broken() -> Any:
        raise ConnectionRefusedError("no server there")

    resources = {"cache": lambda: Closable(log), "db": broken}
    execution = execution_with(resources, lambda run: Status.DONE)
    with pytest.raises(ResourceError, match="'db' didn't open: ConnectionRefusedError") as raised:
        execution.execute(make_chunk([Item("a")], Item))
    assert raised.value.name == "db"
    assert log == ["open", "close"]
    execution.close()
    assert log == ["open", "close"]


def test_resources_are_closed_in_reverse_order() -> None:
    log = Log()

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            log.append(self.name)

    names = ["one", "two", "three"]
    resources = {name: lambda name=name: Named(name) for name in names}
    execution = execution_with(resources, lambda run: Status.DONE)
    execution.execute(make_chunk([Item("a")], Item))
    execution.close()
    assert log == ["three", "two", "one"]


def test_a_resource_that_fails_to_close_is_logged_and_the_others_are_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()

    class Stuck:
        def close(self) -> None:
            raise OSError("stuck")

    resources = {"first": lambda: Closable(log), "stuck": Stuck}
    execution = execution_with(resources, lambda run: Status.DONE)
    execution.execute(make_chunk([Item("a")], Item))
    execution.close()
    assert log == ["open", "close"]
    [entry] = caplog.records
    assert entry.levelname == "ERROR"
    assert entry.getMessage() == "A resource didn't close: OSError."
    assert not entry.exc_info


@pytest.mark.parametrize(
    ("resources", "known"), [({"db": list, "web": dict}, "it has 'db', 'web'"), ({}, "it has none")]
)
def test_a_missing_resource_is_a_key_error_that_lists_those_that_exist(
    execute: Execute, resources: dict[str, Any], known: str
) -> None:
    done = execute(lambda run: run.resources["bd"], [Item("a")], resources=resources)
    kind, message = done.failures[0]
    assert kind == "KeyError"
    assert "no resource 'bd'" in message
    assert known in message

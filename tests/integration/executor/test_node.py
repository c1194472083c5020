"""A node executes what a coordinator sends, without Ray or anything else between them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
import pytest

from batchflow.chunk import ChunkResult
from batchflow.chunk.serialization import write_chunk
from batchflow.executor import ExecutorContext, LostChunk, ProcessPool
from batchflow.executor.nodes.envelope import ToNode, head
from batchflow.executor.nodes.node import Node
from batchflow.executor.nodes.remote_node import NodeFailure, NodeMisfit, NodeRecord, RemoteNode
from batchflow.executor.nodes.versions import differences, versions
from batchflow.testing.contract.case import ExecutorCase
from batchflow.testing.contract.probe import Act, probe_workflows


class Line:
    """A node in this process, and the coordinator's view of it."""

    def __init__(self, folder: Path) -> None:
        self.context = ExecutorContext(workflows=probe_workflows(folder), worker_memory_limit=None)
        self.remote = RemoteNode(1, "here", 1, self.context.workflows)
        self._news: SimpleQueue[bytes] = SimpleQueue()
        self.node = Node(1, self._news.put)
        self.records: list[Mapping[str, Any]] = []
        case = ExecutorCase(ProcessPool(1), folder, 30.0)
        self.chunk = case.chunk

    def set_up(self, modules: dict[str, str] | None = None, data: bytes | None = None) -> None:
        setup = head(ToNode.SETUP, stop=False, import_path=[], modules=modules or {})
        self.node.give(setup + (self.context.to_bytes() if data is None else data))

    def execute(self, *acts: Act, workflow: str = "plain") -> Any:
        chunk = self.chunk(list(acts), workflow=workflow)
        self.remote.hold(chunk, suspect=False)
        sink = pa.BufferOutputStream()
        write_chunk(chunk, sink)
        self.node.give(head(ToNode.CHUNK, suspect=False) + sink.getvalue().to_pybytes())
        return self.next()

    def next(self) -> Any:
        while True:
            for _, news in self.remote.news(pa.py_buffer(self._news.get(timeout=30.0))):
                if not isinstance(news, NodeRecord):
                    return news
                self.records.append(news.attributes)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.node.end()


def test_a_node_returns_results_and_losses_as_its_pool_does(line: Line) -> None:
    line.set_up()

    result = line.execute(Act.ADVANCE, Act.RAISE)
    lost = line.execute(Act.ADVANCE, Act.EXIT)

    assert isinstance(result, ChunkResult)
    assert result.failures["message"].to_pylist() == ["the contract raises this"]
    assert isinstance(lost, LostChunk)
    assert (lost.blamed, lost.rows) == (True, range(1, 2))


def test_log_records_of_a_node_reach_the_coordinator(line: Line) -> None:
    line.set_up()
    logging.getLogger("things").warning("Something about %s.", "things", extra={"worker": 4242})

    line.execute(Act.ADVANCE)

    [record] = [each for each in line.records if each["name"] == "things"]
    assert (record["msg"], record["worker"]) == ("Something about things.", 4242)


def test_an_error_of_the_pool_reaches_the_coordinator_by_its_class(line: Line) -> None:
    line.set_up()

    failure = line.execute(Act.ADVANCE, workflow="unopened")

    assert isinstance(failure, NodeFailure)
    assert (failure.error, "'worker'" in failure.text) == ("ResourceError", True)


def test_code_that_cannot_be_loaded_is_a_failure_and_not_the_end(line: Line) -> None:
    line.set_up(data=b"[false, null]\nno pickle")
    failure = line.next()
    assert isinstance(failure, NodeFailure)
    assert (failure.error, failure.loading) == ("StepCodeError", True)

    line.set_up()
    assert isinstance(line.execute(Act.ADVANCE), ChunkResult)


def test_a_node_with_other_code_does_not_load_it(line: Line) -> None:
    line.set_up(modules={"batchflow.testing.contract.probe": "another digest"}, data=b"never read")

    misfit = line.next()

    assert misfit == NodeMisfit(("batchflow.testing.contract.probe",))


@pytest.mark.parametrize(
    "hello", [b"", b"noise", b"[1]", b"{}", b"[" * 100_000, b'{"numpy": {"a": 1}}']
)
def test_a_node_without_versions_differs_in_all_of_them(hello: bytes) -> None:
    assert differences(hello).count(", and this process has ") == len(versions())
    assert differences(json.dumps(versions()).encode()) == ""


def test_a_node_knows_how_long_it_has_had_nothing_to_do(line: Line) -> None:
    line.set_up()
    line.execute(Act.ADVANCE)
    _await(lambda: line.node.idle_seconds > 0)

    assert line.node.idle_seconds < 30


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)

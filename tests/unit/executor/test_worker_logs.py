"""The thread that reads the log records of workers rests, and ends, when it should."""

from __future__ import annotations

import logging.handlers
import os
import queue
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from batchflow.executor.worker_logs import WorkerLog, WorkerLogs
from batchflow.worker.log_forwarding import FRAME_LENGTH

# A worker's message that it dropped a record, which the reading thread logs.
MESSAGE = b"[null, [], 1]"
RECORDS = 20


Arrivals = queue.SimpleQueue[logging.LogRecord]


@pytest.fixture
def arrivals() -> Iterator[Arrivals]:
    arrived, logger = Arrivals(), logging.getLogger("batchflow")
    handler = logging.handlers.QueueHandler(arrived)
    logger.addHandler(handler)
    yield arrived
    logger.removeHandler(handler)


@pytest.fixture
def reads() -> Iterator[list[object]]:
    """Every log that the reading thread reads, once for each time."""
    found: list[object] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is WorkerLog.handle_available.__code__:
            found.append(frame.f_locals["self"])

    threading.setprofile(note)
    yield found
    threading.setprofile(None)


def test_the_end_of_a_pipe_is_read_once_while_its_worker_lives(
    reads: list[object], arrivals: Arrivals
) -> None:
    logs = WorkerLogs()
    (ended, closed), (living, descriptor) = logs.open(), logs.open()
    os.close(closed)
    for _ in range(RECORDS):
        os.write(descriptor, FRAME_LENGTH.pack(len(MESSAGE)) + MESSAGE)
        arrivals.get(timeout=20)
    logs.catch_up()
    for each in (ended, living):
        logs.remove(each)
        logs.remove(each)
    os.close(descriptor)
    logs.close()
    assert reads.count(living) == RECORDS
    assert reads.count(ended) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_thread_ends_although_a_forked_child_lives_on() -> None:
    before = set(threading.enumerate())
    logs = WorkerLogs()
    log, writer = logs.open()
    [reader] = set(threading.enumerate()) - before
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)

    logs.remove(log)
    logs.close()

    assert not reader.is_alive()
    for each in (writer, writing, reading):
        os.close(each)
    os.waitpid(child, 0)

"""The worker process: next chunk → execute → send the result, until the coordinator is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import cloudpickle
import pyarrow as pa

from batchflow.chunk.wire import read_chunk, write_result
from batchflow.errors import ResourceError
from batchflow.worker.control_page import ControlPage
from batchflow.worker.execution import Execution
from batchflow.worker.transport import Kind, Message, receive, send

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow

_PR_SET_PDEATHSIG = 1


def main(channel_descriptor: int, page_descriptor: int, lifeline_descriptor: int) -> None:
    """Serve chunks over the inherited socket until it closes or says stop."""
    _live_only_with_the_coordinator(lifeline_descriptor)
    channel = socket.socket(fileno=channel_descriptor)
    with os.fdopen(page_descriptor, "r+b", buffering=0) as file:
        page = ControlPage(file)
    setup = receive(channel)
    if setup is None:
        return
    try:
        workflows = _load_workflows(setup)
    except BaseException:
        _send_text(channel, Kind.CODE_FAILED, traceback.format_exc())
        return
    send(channel, Kind.READY, os.getpid())
    with contextlib.closing(Execution(workflows, page)) as execution:
        _serve(channel, page, execution)


def _live_only_with_the_coordinator(lifeline: int) -> None:
    """End this process when the coordinator's does, however that one ended."""
    # A terminal sends Ctrl-C to the whole group; the coordinator alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_at_end_of, args=(lifeline,), daemon=True).start()
    if sys.platform == "linux":
        # The thread can't run while native code keeps the interpreter's lock; the kernel can.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_end_of(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(0)


def _load_workflows(setup: Message) -> Mapping[str, AnyWorkflow]:
    pa.set_cpu_count(1)
    assert setup.payload is not None
    workflows: Mapping[str, AnyWorkflow] = cloudpickle.loads(setup.payload.to_pybytes())
    return workflows


def _send_text(channel: socket.socket, kind: Kind, text: str) -> None:
    def write(file: BinaryIO) -> None:
        file.write(text.encode("utf-8", "backslashreplace"))

    send(channel, kind, 0, write)


def _serve(channel: socket.socket, page: ControlPage, execution: Execution) -> None:
    while (message := receive(channel)) is not None and message.kind is Kind.CHUNK:
        assert message.payload is not None
        chunk = read_chunk(message.payload)
        page.begin(chunk.chunk_id)
        try:
            result = execution.execute(chunk)
        except ResourceError as error:
            _send_text(channel, Kind.RESOURCE_FAILED, str(error))
            return
        finally:
            page.end()
        send(channel, Kind.RESULT, chunk.chunk_id, partial(write_result, result))

"""The worker process: receive a chunk, execute it, send the result, until the coordinator ends."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from batchflow.chunk.serialization import read_chunk, write_result
from batchflow.errors import DiskFullError, ResourceError
from batchflow.worker.code_loading import unpickled_workflows
from batchflow.worker.control_page import ControlPage
from batchflow.worker.execution import Execution
from batchflow.worker.log_forwarding import LogForwarding
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.memory import OUT_OF_MEMORY, MemoryLimit
from batchflow.worker.parent import end_with_writer
from batchflow.worker.surrender import Surrender
from batchflow.worker.transport import Message, MessageKind, receive, send

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow


def main(
    channel_descriptor: int,
    page_descriptor: int,
    lifeline_descriptor: int,
    log_descriptor: int,
    memory_limit_bytes: int,
) -> None:
    """Serve chunks over the inherited socket until it closes or a message requests the end."""
    channel = socket.socket(fileno=channel_descriptor)
    surrender = Surrender(channel)
    end_with_writer(lifeline_descriptor, surrender)
    channel.settimeout(None)
    with os.fdopen(page_descriptor, "r+b", buffering=0) as file:
        page = ControlPage(file)
    forwarding = LogForwarding(log_descriptor)
    forwarding.install()
    setup = _next_after_levels(channel)
    if setup is None:
        return
    levels = LogLevels.of_this_process()
    try:
        workflows = _load_workflows(setup)
    except BaseException:
        _send_text(channel, MessageKind.CODE_FAILED, traceback.format_exc())
        return
    # The modules may have configured logging, but the levels of the engine's process count.
    levels.apply()
    memory = MemoryLimit(memory_limit_bytes)
    memory.apply()
    page.out_of_memory = memory.end_if_exhausted
    send(channel, MessageKind.READY, os.getpid())
    log_values = bool(setup.number)
    with contextlib.closing(Execution(workflows, page, log_values=log_values)) as execution:
        surrender.watch(execution)
        _serve(channel, page, execution, forwarding, surrender)


def _next_after_levels(channel: socket.socket) -> Message | None:
    """Return the next message that isn't about the levels of loggers, which are applied."""
    while (message := receive(channel)) is not None and message.kind is MessageKind.LOG_LEVELS:
        assert message.payload is not None
        LogLevels.from_bytes(message.payload.to_pybytes()).apply()
    return message


def _load_workflows(setup: Message) -> Mapping[str, AnyWorkflow]:
    assert setup.payload is not None
    return unpickled_workflows(setup.payload.to_pybytes())


def _send_text(channel: socket.socket, kind: MessageKind, text: str) -> None:
    def write(file: BinaryIO) -> None:
        file.write(text.encode("utf-8", "backslashreplace"))

    send(channel, kind, 0, write)


def _serve(
    channel: socket.socket,
    page: ControlPage,
    execution: Execution,
    forwarding: LogForwarding,
    surrender: Surrender,
) -> None:
    while (message := _next_after_levels(channel)) is not None:
        if message.kind is not MessageKind.CHUNK:
            return
        assert message.payload is not None
        chunk = read_chunk(message.payload)
        forwarding.install()
        page.begin(chunk.chunk_id)
        try:
            result = execution.execute(chunk)
        except ResourceError as error:
            _send_text(channel, MessageKind.RESOURCE_FAILED, str(error))
            return
        except MemoryError:
            # It was raised outside the step. The run that takes so much is found as one that died.
            os._exit(OUT_OF_MEMORY)
        finally:
            page.end()
        forwarding.flush()
        try:
            with surrender.sending:
                send(channel, MessageKind.RESULT, chunk.chunk_id, partial(write_result, result))
        except DiskFullError:
            # No run is to blame, and other runs would fail too, so this ends the drain.
            send(channel, MessageKind.NO_ROOM, chunk.chunk_id)
            return

"""The worker process: receive a chunk, execute it, send the result, until the coordinator ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import _exit
from typing import TYPE_CHECKING, BinaryIO

from batchflow.chunk.serialization import read_chunk, write_result
from batchflow.errors import DiskFullError, ResourceError
from batchflow.worker.code_loading import unpickled_workflows
from batchflow.worker.control_page import ControlPage
from batchflow.worker.execution import Execution
from batchflow.worker.file_size_limit import FileSizeLimit
from batchflow.worker.log_forwarding import LogForwarding
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.memory import OUT_OF_MEMORY, MemoryLimit
from batchflow.worker.parent import end_with_writer
from batchflow.worker.surrender import Surrender
from batchflow.worker.transport import Message, MessageKind, receive, send

if TYPE_CHECKING:
    from batchflow.chunk import ChunkResult
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
    _disown_in_forks(channel, page)
    identity = os.fstat(channel.fileno())
    files = FileSizeLimit()
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
    page.raised = memory.end_if_exhausted
    send(channel, MessageKind.READY, os.getpid())
    log_values = bool(setup.number)
    with contextlib.closing(Execution(workflows, page, log_values=log_values)) as execution:
        surrender.watch(execution)
        _serve(_Connection(channel, identity, page, forwarding, surrender, files), execution)


@dataclass(frozen=True)
class _Connection:
    """The link of a worker with its coordinator.

    Attributes:
        identity: What the system reports of the channel's descriptor, which a step may replace.
    """

    channel: socket.socket
    identity: os.stat_result
    page: ControlPage
    forwarding: LogForwarding
    surrender: Surrender
    files: FileSizeLimit


def _next_after_levels(channel: socket.socket) -> Message | None:
    """Return the next message that isn't about the levels of loggers, which are applied."""
    while (message := receive(channel)) is not None and message.kind is MessageKind.LOG_LEVELS:
        assert message.payload is not None
        LogLevels.from_bytes(message.payload.to_pybytes()).apply()
    return message


def _disown_in_forks(channel: socket.socket, page: ControlPage) -> None:
    """Keep the processes that steps fork from answering in the worker's place."""

    def disown() -> None:
        page.disown()
        channel.close()

    os.register_at_fork(after_in_child=disown)


def _load_workflows(setup: Message) -> Mapping[str, AnyWorkflow]:
    assert setup.payload is not None
    return unpickled_workflows(setup.payload.to_pybytes())


def _send_text(channel: socket.socket, kind: MessageKind, text: str) -> None:
    def write(file: BinaryIO) -> None:
        file.write(text.encode("utf-8", "backslashreplace"))

    send(channel, kind, 0, write)


def _serve(connection: _Connection, execution: Execution) -> None:
    channel, page = connection.channel, connection.page
    try:
        while (message := _next_after_levels(channel)) is not None:
            if message.kind is not MessageKind.CHUNK:
                return
            page.begin(message.number)
            assert message.payload is not None
            chunk = read_chunk(message.payload)
            connection.forwarding.install()
            result = execution.execute(chunk)
            connection.forwarding.flush()
            _send_result(connection, result)
            page.sent(message.number)
    except ResourceError as error:
        _send_text(channel, MessageKind.RESOURCE_FAILED, str(error))
    except DiskFullError:
        # No run is to blame, and other runs would fail too, so this ends the drain.
        send(channel, MessageKind.NO_ROOM)
    except MemoryError:
        # It was raised outside the step. The run that takes so much is found as one that died.
        _exit(OUT_OF_MEMORY)
    except BaseException as error:
        # A step has broken what the worker needs. Nothing in this process can be relied upon, not
        # even the end of the interpreter.
        page.fail(_named(error))
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        _exit(1)


def _send_result(connection: _Connection, result: ChunkResult) -> None:
    send_it = partial(
        send,
        connection.channel,
        MessageKind.RESULT,
        result.chunk_id,
        partial(write_result, result),
    )
    with connection.surrender.sending:
        if not os.path.samestat(connection.identity, os.fstat(connection.channel.fileno())):
            raise OSError(errno.ENOTCONN, "Its socket was replaced")
        try:
            send_it()
        except DiskFullError:
            if not connection.files.restored():
                raise
            send_it()


def _named(error: BaseException) -> str:
    """Return the error's class, and for an OSError what the system reports, but no values."""
    name = type(error).__qualname__
    return f"{name}: {error.strerror}" if isinstance(error, OSError) else name

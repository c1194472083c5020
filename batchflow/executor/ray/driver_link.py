"""The link to the process that talks to Ray, which is started again if it ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batchflow.errors import EngineStateError
from batchflow.executor.launcher import Launcher
from batchflow.executor.nodes.envelope import Envelope, InvalidEnvelopeError, ToNode, head
from batchflow.executor.ray.driver_messages import ToDriver
from batchflow.executor.ray.driver_process import DriverProcess
from batchflow.worker.transport import InvalidMessageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from batchflow.executor.nodes.remote_node import RemoteNode
    from batchflow.executor.ray.ray_executor import RayExecutor

log = logging.getLogger("batchflow")

_MOST_STARTS: Final = 3
# One reply may have half of the bytes, so the rest has to be enough for that.
_FREED_AT_ONCE: Final = 1 / 8


class DriverEndedError(Exception):
    """The process that talks to Ray has ended, or sent what it can't send."""


class DriverLink:
    """Sends messages to the process and, through it, to nodes; receives its messages."""

    def __init__(self, settings: RayExecutor) -> None:
        self._settings = settings
        self._launcher = Launcher()
        self._process: DriverProcess | None = None
        self._starts = 0
        self._taken_bytes = 0

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def channel(self) -> socket.socket:
        """The socket that is readable when there is a message, or the process has ended."""
        assert self._process is not None
        return self._process.channel

    def start(self) -> None:
        """Start the process, without waiting for its connection.

        Raises:
            EngineStateError: It was started a few times, and no result came in between.
        """
        if self._starts >= _MOST_STARTS:
            self._starts = 0
            raise EngineStateError(
                f"The process that talks to Ray ended {_MOST_STARTS} times without a result in "
                f"between. See whether the cluster at {self._settings.address!r} is running, with "
                '"ray status", then run again. Nothing was lost.'
            )
        self._starts += 1
        self._taken_bytes = 0
        self._process = DriverProcess(self._launcher)
        self._process.send(ToDriver.CONNECT, **self._settings.connection())

    def note_result(self) -> None:
        """Record that a result came: the process works."""
        self._starts = 1

    def received(self) -> Iterator[Envelope]:
        """Yield the messages that have arrived.

        Raises:
            DriverEndedError: There will be no more.
        """
        process = self._process
        assert process is not None
        try:
            yield from process.received()
        except (InvalidMessageError, InvalidEnvelopeError) as error:
            raise DriverEndedError(f"It sent {error}.") from error
        if process.ended:
            raise DriverEndedError

    def grow_to(self, nodes: int) -> None:
        """Use at least so many nodes from now on."""
        self._send(ToDriver.GROW, nodes=nodes)

    def note_news(self, size: int) -> None:
        """Record that news is taken; a message to the process counts many."""
        self._taken_bytes += size
        if self._taken_bytes >= self._settings.transit_bytes * _FREED_AT_ONCE:
            self._send(ToDriver.FREE, size=self._taken_bytes)
            self._taken_bytes = 0

    def drop(self, node: RemoteNode, *, exclude: bool) -> None:
        """End a node's actor; with `exclude`, its machine isn't used again."""
        self._send(ToDriver.DROP, node=node.number, exclude=exclude)

    def to_node(
        self,
        node: RemoteNode,
        kind: ToNode,
        write_body: Callable[[BinaryIO], object] | None = None,
        **fields: Any,
    ) -> None:
        """Send a message to a node; ``write_body`` writes its body."""

        def write(file: BinaryIO) -> None:
            file.write(head(kind, **fields))
            if write_body is not None:
                write_body(file)

        self._send(ToDriver.FORWARD, write, node=node.number)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """End the actors of all nodes and the process, for good."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self._launcher.close()

    def _send(
        self, kind: ToDriver, inner: Callable[[BinaryIO], None] | None = None, **fields: Any
    ) -> None:
        if self._process is not None:
            self._process.send(kind, inner, **fields)

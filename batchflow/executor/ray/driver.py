"""The process that talks to Ray: it passes messages on between the coordinator and the nodes.

It knows which nodes there are, and starts an actor on each that is wanted. It doesn't look into
what the coordinator and the nodes send each other.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batchflow.executor.nodes.envelope import Envelope, head, unpacked
from batchflow.executor.ray.cluster import Cluster, NodeSettings
from batchflow.executor.ray.driver_messages import FromDriver, ToDriver
from batchflow.executor.ray.no_pickles import refuse_pickles
from batchflow.worker.transport import MessageKind, receive, send

if TYPE_CHECKING:
    from collections.abc import Callable

_CLOSING_SECONDS: Final = 10.0
_HEAD_SECONDS: Final = 10.0


def main(descriptor: int) -> None:
    """Serve the coordinator over the inherited socket until it closes or requests the end."""
    channel = socket.socket(fileno=descriptor)
    channel.settimeout(None)
    os.set_inheritable(descriptor, False)
    message = receive(channel)
    if message is None or message.payload is None:
        return
    [connect] = unpacked(message.payload)
    sender = Sender(channel)
    try:
        _connect(connect.fields)
    except BaseException as error:
        # Ray exits if the cluster doesn't answer.
        sender.send(FromDriver.REFUSED, text=str(error) or type(error).__name__)
        sender.flush()
        return
    refuse_pickles()
    asyncio.run(_serve(channel, sender, NodeSettings(**connect.fields["settings"])))
    sender.flush()


def _connect(fields: Any) -> None:
    import ray

    _require_head(fields["address"])
    ray.init(
        address=fields["address"],
        runtime_env=fields["runtime_env"],
        log_to_driver=False,
        configure_logging=False,
    )


def _require_head(address: str) -> None:
    """Raise an error if no process listens at an address, for which Ray tries for minutes."""
    named = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    host, _, port = named.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _HEAD_SECONDS).close()


class Sender:
    """Sends messages from a thread of its own, so that no one waits for the coordinator."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._queue: SimpleQueue[Callable[[BinaryIO], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send(self, kind: FromDriver, body: bytes = b"", **fields: Any) -> None:
        """Send a message later; returns at once."""
        self._queue.put(partial(_write, kind, body, fields))

    def flush(self) -> None:
        """Send all messages, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (write := self._queue.get()) is not None:
            try:
                send(self._channel, MessageKind.ENVELOPE, 0, write)
            except OSError:
                # The coordinator has ended.
                os._exit(0)


def _write(kind: FromDriver, body: bytes, fields: dict[str, Any], file: BinaryIO) -> None:
    file.write(head(kind, **fields))
    file.write(body)


async def _serve(channel: socket.socket, sender: Sender, settings: NodeSettings) -> None:
    cluster = Cluster(settings, sender.send)
    sender.send(FromDriver.CONNECTED)
    loop = asyncio.get_running_loop()
    closing = asyncio.Event()
    threading.Thread(
        target=_read, args=(channel, loop, partial(_handle, cluster, closing)), daemon=True
    ).start()
    watching = asyncio.create_task(cluster.watch())
    await asyncio.wait(
        [watching, asyncio.create_task(closing.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    if watching.done():
        watching.result()
    watching.cancel()
    await cluster.close(_CLOSING_SECONDS)


def _read(
    channel: socket.socket,
    loop: asyncio.AbstractEventLoop,
    handle: Callable[[Envelope], None],
) -> None:
    """Pass each message of the coordinator to the loop; end this process with the coordinator."""
    while (message := receive(channel)) is not None:
        if message.payload is not None:
            for envelope in unpacked(message.payload):
                loop.call_soon_threadsafe(handle, envelope)
    os._exit(0)


def _handle(cluster: Cluster, closing: asyncio.Event, envelope: Envelope) -> None:
    fields = envelope.fields
    match ToDriver[envelope.kind]:
        case ToDriver.GROW:
            cluster.grow(fields["nodes"])
        case ToDriver.FORWARD:
            cluster.forward(fields["node"], envelope.body.to_pybytes())
        case ToDriver.FREE:
            cluster.free(fields["size"])
        case ToDriver.DROP:
            cluster.drop(fields["node"], exclude=fields["exclude"])
        case ToDriver.CLOSE:
            closing.set()
        case ToDriver.CONNECT:
            raise AssertionError("It is connected already.")

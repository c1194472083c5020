"""Executes chunks on nodes that a Ray cluster has, and loses nothing if a node disappears."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from batchflow.chunk import ChunkResult
from batchflow.chunk.serialization import write_chunk
from batchflow.errors import EngineStateError, StepCodeError, WorkerDied
from batchflow.executor.nodes.envelope import Envelope, ToNode
from batchflow.executor.nodes.losses import MOST_LOSSES, Losses
from batchflow.executor.nodes.node import POOL_ERRORS
from batchflow.executor.nodes.record_limit import RECORDS_PER_SECOND
from batchflow.executor.nodes.remote_node import (
    InvalidNewsError,
    NodeFailure,
    NodeMisfit,
    NodeRecord,
    RemoteNode,
)
from batchflow.executor.nodes.versions import differences
from batchflow.executor.protocol import LostChunk
from batchflow.executor.ray.driver_link import DriverEndedError, DriverLink
from batchflow.executor.ray.driver_messages import FromDriver
from batchflow.executor.ray.node_setup import NodeSetup
from batchflow.executor.ray.waiting import Waiting
from batchflow.executor.worker_logs import handle_forwarded
from batchflow.short_form import counted
from batchflow.worker.transport import socket_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.chunk import Chunk
    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import CallUnderWay
    from batchflow.executor.ray.ray_executor import RayExecutor

log = logging.getLogger("batchflow")

_ABANDON_SECONDS: Final = 10.0
# More nodes are used for work that takes longer.
_LONG_WORK_SECONDS: Final = 60.0

Done = ChunkResult | LostChunk


class NodesExecutor:
    """Sends each chunk to the node with the most free slots."""

    def __init__(self, context: ExecutorContext, settings: RayExecutor) -> None:
        self._context = context
        self._settings = settings
        self._link = DriverLink(settings)
        self._setup = NodeSetup(context, self._link)
        self._nodes: dict[int, RemoteNode] = {}
        self._losses = Losses()
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket_pair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        self._stop = self._sent_stop = False
        self._abandons = 0
        self._waiting = Waiting(settings.address, settings.wait_seconds)
        self._why_waiting = "the cluster isn't connected yet"
        self._closed = False

    @property
    def workers(self) -> int:
        """The number of worker processes of all nodes."""
        return sum(node.workers for node in self._nodes.values())

    @property
    def slots(self) -> int:
        """How many more chunks the nodes take."""
        return sum(node.slots for node in self._nodes.values())

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks the nodes take."""
        return sum(node.suspect_slots for node in self._nodes.values())

    @property
    def expects_workers(self) -> bool:
        """Whether another node may join."""
        return not self._waiting.over

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return len(self._nodes)

    def note_work(self, seconds: float) -> None:
        """Use more nodes, at most twice as many, if the workers need more than a minute."""
        _, most = self._settings.least_and_most
        workers = self.workers
        if workers and self.nodes < most and seconds > _LONG_WORK_SECONDS * workers:
            needed = math.ceil(seconds * self.nodes / (workers * _LONG_WORK_SECONDS))
            self.grow_to(min(needed, 2 * self.nodes))

    def grow_to(self, nodes: int) -> None:
        """Use at least so many nodes from now on, within the settings."""
        self._link.grow_to(nodes)

    def expect_no_nodes(self) -> None:
        """Expect no further node, as if `wait_seconds` were over."""
        self._waiting.give_up()
        self.wake()

    def start(self) -> None:
        """Start nodes, without waiting for them."""
        if not self._link.started:
            self._start_driver()
        if not self._nodes:
            self.grow_to(1)
        elif all(node.idle for node in self._nodes.values()):
            self._setup.update(list(self._nodes.values()), stop=self._sent_stop)

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Send the chunk to the node with the most free slots."""
        self._forward_stop()
        nodes = self._nodes.values()
        node = max(nodes, key=lambda node: node.suspect_slots if suspect else node.slots)
        node.hold(chunk, suspect=suspect)
        self._link.to_node(node, ToNode.CHUNK, partial(write_chunk, chunk), suspect=suspect)

    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:
        """Wait for results, the loss of a node, a call of `wake` or the end of the time."""
        self._forward_stop()
        events = self._selector.select(self._longest_wait(timeout_seconds))
        done: list[Done] = []
        for key, _ in events:
            if key.fileobj is self._wake_receiver:
                self._drop_wakes()
                self._forward_stop()
            else:
                self._take_messages(done)
        for node in self._nodes.values():
            _log_left_out(node)
        if not self._nodes:
            self._waiting.look(self._why_waiting)
        return done

    def wake(self) -> None:
        """Make a waiting `completed` return; callable from any thread or signal handler."""
        # The socket may be full of wakes, or closed: no call of `completed` sleeps then.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"\0")

    def request_stop(self, *, stop: bool) -> None:
        """Request that steps return the runs they haven't started, or withdraw the request."""
        self._stop = stop
        if not stop:
            # A drain begins or ends.
            self._waiting.begin()
        self.wake()

    def interrupt(self) -> None:
        """Do nothing: `abandon` ends a step on another machine."""

    def calls(self) -> Sequence[CallUnderWay]:
        """Return the calls under way, as of half a second ago; callable from any thread."""
        return [call for node in list(self._nodes.values()) for call in node.calls]

    def request_surrender(self) -> None:
        """Request what is done of the chunks whose call hasn't returned."""
        for node in self._nodes.values():
            self._link.to_node(node, ToNode.SURRENDER)

    def abandon(self) -> None:
        """Drop all chunks, and wait until the nodes have ended their steps."""
        self._abandons += 1
        for node in self._nodes.values():
            node.abandon(self._abandons)
            self._link.to_node(node, ToNode.ABANDON, number=self._abandons)
        deadline = time.monotonic() + _ABANDON_SECONDS
        while self._late_nodes and (left := deadline - time.monotonic()) > 0:
            self._selector.select(left)
            self._drop_wakes()
            self._take_messages([])
        for node in self._late_nodes:
            self._leave(node, "it didn't end its steps in time", exclude=False)

    def close(self) -> None:
        """End the workers of all nodes, for good."""
        if self._closed:
            return
        self._closed = True
        for node in self._nodes.values():
            _log_left_out(node, at_once=True)
        self._nodes.clear()
        self._link.close()
        self._selector.close()
        self._wake_sender.close()
        self._wake_receiver.close()

    # The process that talks to Ray.

    def _start_driver(self) -> None:
        self._link.start()
        self._selector.register(self._link.channel, selectors.EVENT_READ)

    def _take_messages(self, done: list[Done]) -> None:
        if not self._link.started:
            return
        try:
            for envelope in self._link.received():
                self._handle(envelope, done)
        except DriverEndedError as error:
            log.warning(
                "The process that talks to Ray has ended, and is started again. %s",
                error,
                extra={"action": "restart_ray_driver"},
            )
            self._end_driver()
            for node in list(self._nodes.values()):
                del self._nodes[node.number]
                done += self._lost(node, counts=False)
            self._start_driver()

    def _end_driver(self) -> None:
        self._selector.unregister(self._link.channel)
        self._link.kill()

    def _handle(self, envelope: Envelope, done: list[Done]) -> None:
        fields = envelope.fields
        match FromDriver[envelope.kind]:
            case FromDriver.CONNECTED:
                self._why_waiting = "no node has started yet"
            case FromDriver.REFUSED:
                self._end_driver()
                raise EngineStateError(
                    f"The Ray cluster at {self._settings.address!r} can't be used: "
                    f'{fields["text"]}\nStart a cluster with "ray start --head", or give the '
                    "address of one, like 10.0.0.1:6379. If it demands a token, set "
                    "RAY_AUTH_MODE=token and the token here, too. Nothing was lost."
                )
            case FromDriver.JOINED:
                self._join(fields["node"], fields["name"], fields["workers"], envelope)
            case FromDriver.NEWS:
                self._link.note_news(fields["size"])
                node = self._nodes.get(fields["node"])
                if node is not None:
                    self._take_news(node, envelope, done)
            case FromDriver.LEFT:
                self._left(fields["node"], fields["name"], fields["cause"], done)

    # Nodes that come and go.

    def _join(self, number: int, name: str, workers: int, envelope: Envelope) -> None:
        node = RemoteNode(number, name, workers, self._context.workflows)
        differing = differences(envelope.body.to_pybytes())
        if differing:
            self._refuse(node, f"has {differing}. Install the same versions on both")
            return
        self._nodes[number] = node
        self._setup.send(node, stop=self._sent_stop)
        log.info(
            "Node %s has joined with %s.",
            name,
            counted(workers, "worker"),
            extra={"action": "join_node", "node": name, "workers": workers},
        )

    def _refuse(self, node: RemoteNode, problem: str) -> None:
        """Don't use a node; without any other, the drain can't continue."""
        self._leave(node, "", exclude=True)
        text = f"Node {node.name} {problem}, then run again."
        if not self._nodes:
            raise EngineStateError(f"{text} Nothing was lost.")
        log.error(text, extra={"action": "refuse_node", "node": node.name})

    def _left(self, number: int, name: str, cause: str, done: list[Done]) -> None:
        node = self._nodes.pop(number, None)
        if node is None:
            log.warning("Node %s couldn't be used: %s", name, cause, extra={"action": "lose_node"})
            return
        lost = self._lost(node, counts=bool(cause))
        done += lost
        if not cause:
            log.info(
                "Node %s is released, because it had nothing to do.",
                name,
                extra={"action": "release_node", "node": name},
            )
        else:
            log.warning(
                "Node %s is lost, and its %s given back: %s",
                name,
                f"{counted(len(lost), 'chunk')} {'is' if len(lost) == 1 else 'are'}",
                cause,
                extra={"action": "lose_node", "node": name, "chunks": len(lost), "cause": cause},
            )

    def _leave(self, node: RemoteNode, reason: str, *, exclude: bool) -> list[LostChunk]:
        """End a node's actor, and give its chunks back."""
        self._nodes.pop(node.number, None)
        self._link.drop(node, exclude=exclude)
        if reason:
            log.warning(
                "Node %s isn't used any more, because %s.",
                node.name,
                reason,
                extra={"action": "drop_node", "node": node.name},
            )
        return self._lost(node)

    def _lost(self, node: RemoteNode, *, counts: bool = True) -> list[LostChunk]:
        """Give back what a node has; it counts, unless something else than a run was the cause."""
        if not self._nodes:
            self._waiting.begin()
            self._why_waiting = "the last node is gone"
        _log_left_out(node, at_once=True)
        return [self._lost_chunk(chunk, counts=counts) for chunk in node.take_held()]

    def _lost_chunk(self, chunk: Chunk, *, counts: bool) -> LostChunk:
        suspicious = counts and self._losses.add(chunk) >= MOST_LOSSES
        return LostChunk(
            chunk_id=chunk.chunk_id,
            blamed=suspicious,
            rows=None,
            error_type=WorkerDied.__name__,
            cause=f"its node disappeared, as it did {MOST_LOSSES} times while it had this run",
            # If a single run had nodes of its own, nothing else can be the cause.
            used=chunk.num_rows > 1,
        )

    # What nodes send.

    def _take_news(self, node: RemoteNode, envelope: Envelope, done: list[Done]) -> None:
        try:
            for chunk, news in node.news(envelope.body):
                match news:
                    case NodeRecord():
                        _log_record(node, news)
                    case NodeMisfit():
                        self._misfit(node, news, done)
                        return
                    case NodeFailure():
                        self._raise(node, news)
                    case _:
                        if chunk is not None and isinstance(news, ChunkResult):
                            self._losses.forget(chunk)
                            self._link.note_result()
                        done.append(news)
        except InvalidNewsError as error:
            done += self._leave(node, f"it sent {error}", exclude=True)

    def _misfit(self, node: RemoteNode, misfit: NodeMisfit, done: list[Done]) -> None:
        done += self._lost(node)
        self._refuse(
            node,
            f"has other code than this process in {', '.join(misfit.modules)}. Update the code "
            "there, or have Ray send it with runtime_env={'working_dir': …}",
        )

    def _raise(self, node: RemoteNode, failure: NodeFailure) -> None:
        if not failure.loading:
            raise POOL_ERRORS[failure.error](f"On node {node.name}: {failure.text}")
        culprit = self._setup.unloadable_here() or "a workflow"
        raise StepCodeError(
            f"The code of {culprit} can't be loaded on node {node.name}. Install what it imports "
            "there, or have Ray send it with runtime_env={'working_dir': …}:\n"
            f"{failure.text}"
        )

    # Waiting.

    def _forward_stop(self) -> None:
        stop = self._stop
        if stop != self._sent_stop:
            self._sent_stop = stop
            for node in self._nodes.values():
                self._link.to_node(node, ToNode.STOP, stop=stop)

    @property
    def _late_nodes(self) -> list[RemoteNode]:
        return [node for node in self._nodes.values() if node.awaits_abandon]

    def _longest_wait(self, timeout_seconds: float | None) -> float | None:
        waits = [timeout_seconds, None if self._nodes else self._waiting.seconds]
        return min((wait for wait in waits if wait is not None), default=None)

    def _drop_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_receiver.recv(4096):
                pass


def _log_left_out(node: RemoteNode, *, at_once: bool = False) -> None:
    left_out = node.records.take_left_out(time.monotonic(), at_once=at_once)
    if left_out:
        log.warning(
            "Node %s sent %s more than the %d a second that are handled; they are left out.",
            node.name,
            counted(left_out, "log record"),
            RECORDS_PER_SECOND,
            extra={"action": "leave_out_records", "node": node.name, "records": left_out},
        )


def _log_record(node: RemoteNode, record: NodeRecord) -> None:
    if not node.records.takes(time.monotonic()):
        return
    attributes = {
        **record.attributes,
        "msg": f"{node.name}: {record.attributes.get('msg')}",
        "node": node.name,
    }
    try:
        handle_forwarded(attributes)
    except Exception:
        # The node sent something else, or a handler of the user's fails.
        log.debug("A log record of a node couldn't be handled.", exc_info=True)

"""A node as the coordinator sees it: the chunks that it has, and the checks of what it sends.

A node runs the user's code, so it may send anything. What it sends can only be about chunks that it
has, and is checked like the result of a worker on this machine. A node that sends something else
isn't used any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from batchflow.chunk.result_check import InvalidResultError, checked_result
from batchflow.errors import StepTimeout, WorkerDied
from batchflow.executor.nodes.envelope import (
    Envelope,
    FromNode,
    InvalidEnvelopeError,
    unpacked,
)
from batchflow.executor.nodes.node import LONGEST_MESSAGE, POOL_ERRORS
from batchflow.executor.nodes.record_limit import RecordLimit
from batchflow.executor.protocol import CallUnderWay, LostChunk
from batchflow.worker.log_forwarding import MOST_FRAME_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.definition import AnyWorkflow

# As in a local pool: one chunk is under way, and one waits.
_CHUNKS_PER_WORKER: Final = 2
_LONGEST_TEXT: Final = 1_000
_LOST_FOR: Final = (WorkerDied.__name__, StepTimeout.__name__)


class InvalidNewsError(Exception):
    """Something that a node can't have sent by itself; the message names it."""


@dataclass(frozen=True)
class NodeFailure:
    """An error of a node's pool.

    Attributes:
        error: The name of its class.
        text: Its message.
        loading: Whether the code couldn't be loaded.
    """

    error: str
    text: str
    loading: bool


@dataclass(frozen=True)
class NodeMisfit:
    """A node has other code than the coordinator.

    Attributes:
        modules: The modules that differ.
    """

    modules: tuple[str, ...]


@dataclass(frozen=True)
class NodeRecord:
    """A log record, as its attributes."""

    attributes: Mapping[str, Any]


News: TypeAlias = "ChunkResult | LostChunk | NodeFailure | NodeMisfit | NodeRecord"


class RemoteNode:
    """One node, and the chunks that it has.

    Attributes:
        number: The number by which messages name it.
        name: Its name, for people.
        workers: How many processes it has.
        calls: The calls under way there, as of half a second ago.
        records: How many of its log records are handled.
    """

    def __init__(
        self, number: int, name: str, workers: int, workflows: Mapping[str, AnyWorkflow]
    ) -> None:
        self.number = number
        self.name = name
        self.workers = workers
        self.calls: tuple[CallUnderWay, ...] = ()
        self.records = RecordLimit()
        self._workflows = workflows
        self._held: dict[int, tuple[Chunk, bool]] = {}
        self._suspects = 0
        self._abandoned: int | None = None

    @property
    def slots(self) -> int:
        """How many more chunks it takes."""
        return _CHUNKS_PER_WORKER * self.workers - (len(self._held) - self._suspects)

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks it takes."""
        return self.workers - self._suspects

    @property
    def idle(self) -> bool:
        """Whether it has no chunk."""
        return not self._held

    @property
    def awaits_abandon(self) -> bool:
        """Whether it hasn't confirmed yet that it dropped its chunks."""
        return self._abandoned is not None

    def hold(self, chunk: Chunk, *, suspect: bool) -> None:
        """Record that it has a chunk."""
        self._held[chunk.chunk_id] = chunk, suspect
        self._suspects += suspect

    def abandon(self, number: int) -> None:
        """Record that it drops its chunks; until it confirms this, its news is ignored."""
        self._take_all()
        self._abandoned = number

    def take_held(self) -> list[Chunk]:
        """Return the chunks that it has, because it disappeared."""
        return [chunk for chunk, _ in self._take_all()]

    def news(self, body: pa.Buffer) -> Iterator[tuple[Chunk | None, News]]:
        """Yield what it sent, with the chunk that it returned by it, if any.

        Raises:
            InvalidNewsError: A node can't send that.
        """
        try:
            for envelope in unpacked(body):
                yield from self._checked(envelope)
        except (InvalidResultError, InvalidEnvelopeError) as error:
            raise InvalidNewsError(str(error)) from error
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidNewsError("a message without the fields of its kind") from error

    def _checked(self, envelope: Envelope) -> Iterator[tuple[Chunk | None, News]]:
        kind, fields = FromNode[envelope.kind], envelope.fields
        if self._abandoned is not None:
            if kind is FromNode.ABANDONED and fields["number"] == self._abandoned:
                self._abandoned = None
            return
        match kind:
            case FromNode.RESULT:
                chunk = self._chunk(fields)
                result = checked_result(envelope.body, chunk, self._workflows[chunk.workflow])
                yield self._returned(chunk), result
            case FromNode.LOST:
                chunk = self._chunk(fields)
                lost = _lost(fields, chunk, self._workflows[chunk.workflow])
                yield self._returned(chunk), lost
            case FromNode.CALLS:
                calls = map(self._call, fields["calls"])
                self.calls = tuple(call for call in calls if call is not None)
            case FromNode.LOG:
                yield None, NodeRecord(_record(envelope.body))
            case FromNode.FAILED:
                yield None, _failure(fields)
            case FromNode.MISFIT:
                yield None, NodeMisfit(tuple(map(_text, fields["modules"])))
            case FromNode.ABANDONED:
                raise InvalidNewsError("the confirmation of something that wasn't requested")
            case _:
                assert_never(kind)

    def _chunk(self, fields: Mapping[str, Any]) -> Chunk:
        held = self._held.get(_integer(fields["chunk_id"]))
        if held is None:
            raise InvalidNewsError("news of a chunk that it doesn't have")
        return held[0]

    def _returned(self, chunk: Chunk) -> Chunk:
        _, suspect = self._held.pop(chunk.chunk_id)
        self._suspects -= suspect
        self.calls = tuple(call for call in self.calls if call.chunk_id != chunk.chunk_id)
        return chunk

    def _take_all(self) -> list[tuple[Chunk, bool]]:
        held = list(self._held.values())
        self._held.clear()
        self._suspects = 0
        self.calls = ()
        return held

    def _call(self, found: Any) -> CallUnderWay | None:
        chunk_id, first, stop, worker, from_code = found
        held = self._held.get(_integer(chunk_id))
        if held is None:
            return None
        chunk = held[0]
        rows = _rows([first, stop], chunk)
        code = _code(from_code, self._workflows[chunk.workflow])
        return CallUnderWay(chunk.chunk_id, rows, _integer(worker), code)


def _lost(fields: Mapping[str, Any], chunk: Chunk, workflow: AnyWorkflow) -> LostChunk:
    worker, rows = fields["worker"], fields["rows"]
    if fields["error_type"] not in _LOST_FOR:
        raise InvalidNewsError("a lost chunk without a known reason")
    return LostChunk(
        chunk_id=chunk.chunk_id,
        blamed=_flag(fields["blamed"]),
        rows=None if rows is None else _rows(rows, chunk),
        error_type=fields["error_type"],
        cause=_text(fields["cause"]),
        used=_flag(fields["used"]),
        from_code=_code(fields["from_code"], workflow),
        worker=None if worker is None else _text(worker),
    )


def _failure(fields: Mapping[str, Any]) -> NodeFailure:
    error, loading = fields["error"], _flag(fields["loading"])
    if error not in POOL_ERRORS:
        raise InvalidNewsError(f"an error of its own: {_text(fields['text'], LONGEST_MESSAGE)}")
    return NodeFailure(error, _text(fields["text"], LONGEST_MESSAGE), loading)


def _record(body: pa.Buffer) -> Mapping[str, Any]:
    if body.size > MOST_FRAME_BYTES:
        raise InvalidNewsError("a log record that is too long")
    attributes = json.loads(body.to_pybytes())
    if not isinstance(attributes, dict):
        raise InvalidNewsError("a log record without attributes")
    return attributes


def _rows(found: Any, chunk: Chunk) -> range:
    first, stop = map(_integer, found)
    if not 0 <= first < stop <= chunk.num_rows:
        raise InvalidNewsError("rows that its chunk doesn't have")
    return range(first, stop)


def _code(found: Any, workflow: AnyWorkflow) -> int | None:
    if found is not None and _integer(found) not in workflow.steps:
        raise InvalidNewsError("a status without a step")
    return None if found is None else int(found)


def _integer(found: Any) -> int:
    if type(found) is not int:
        raise InvalidNewsError("a number of another type")
    return found


def _flag(found: Any) -> bool:
    if type(found) is not bool:
        raise InvalidNewsError("a flag of another type")
    return found


def _text(found: Any, longest: int = _LONGEST_TEXT) -> str:
    if type(found) is not str:
        raise InvalidNewsError("a text of another type")
    return found[:longest]

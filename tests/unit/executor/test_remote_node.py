"""What a node sends can only be about chunks that it has; anything else is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from batchflow.chunk import Chunk
from batchflow.executor.nodes.envelope import FromNode, head, packed
from batchflow.executor.nodes.losses import MOST_LOSSES, Losses
from batchflow.executor.nodes.remote_node import InvalidNewsError, RemoteNode
from kit.things import things

LOST = {
    "chunk_id": 7,
    "blamed": True,
    "rows": [0, 1],
    "error_type": "WorkerDied",
    "cause": "its worker was ended by signal 11 (SIGSEGV)",
    "used": False,
    "from_code": 0,
    "worker": "web-1:4242",
}


def chunk(chunk_id: int = 7, seqs: tuple[int, ...] = (1, 2)) -> Chunk:
    return Chunk(
        chunk_id=chunk_id,
        workflow="things",
        from_code=0,
        rows=pa.table({"#seq": pa.array(seqs, pa.int64())}),
        run_id_base=0,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )


def node_with_chunk() -> RemoteNode:
    node = RemoteNode(1, "web-1/abc", 2, {"things": things()})
    node.hold(chunk(), suspect=False)
    return node


def news_of(node: RemoteNode, *messages: bytes) -> list[Any]:
    return list(node.news(pa.py_buffer(b"".join(messages))))


def failed(error: str) -> bytes:
    return packed(FromNode.FAILED, error=error, text="no room", loading=False)


HOSTILE = {
    "no message": b"\x00",
    "noise": bytes(range(256)) * 3,
    "a message that is cut off": packed(FromNode.LOST, **LOST)[:-1],
    "a body beyond the end": head(FromNode.RESULT, 2**40, chunk_id=7),
    "lengths beyond all sizes": b"\xff" * 64,
    "fields that aren't an object": packed(FromNode.LOST).replace(b"{}", b"[]"),
    "JSON that is too deep": b"\x40\x0d\x03\x00" + b"\x00" * 8 + b"[" * 200_000,
    "fields that are too long": packed(FromNode.LOST, **{**LOST, "cause": " " * 2**24}),
    "a record that is too long": packed(FromNode.LOG, b" " * 2**20 + b"{}"),
    "an unknown kind": packed(FromNode.LOG).replace(b"LOG", b"EVE"),
    "a kind of the coordinator": packed(FromNode.LOG).replace(b'"LOG"', b'"STOP"'),
    "a result that can't be read": packed(FromNode.RESULT, b"noise", chunk_id=7),
    "a result without an id": packed(FromNode.RESULT, b""),
    "a result of another chunk": packed(FromNode.RESULT, b"", chunk_id=8),
    "an id that is true": packed(FromNode.RESULT, b"", chunk_id=True),
    "an id that is a list": packed(FromNode.RESULT, b"", chunk_id=[7]),
    "a loss of another chunk": packed(FromNode.LOST, **{**LOST, "chunk_id": 8}),
    "a loss without a reason": packed(FromNode.LOST, **{**LOST, "error_type": "Quit"}),
    "rows beyond the chunk": packed(FromNode.LOST, **{**LOST, "rows": [0, 3]}),
    "rows in reverse": packed(FromNode.LOST, **{**LOST, "rows": [1, 0]}),
    "no number of rows": packed(FromNode.LOST, **{**LOST, "rows": [0]}),
    "a status without a step": packed(FromNode.LOST, **{**LOST, "from_code": 1}),
    "a cause that is no text": packed(FromNode.LOST, **{**LOST, "cause": 1}),
    "blame that is no flag": packed(FromNode.LOST, **{**LOST, "blamed": 1}),
    "calls that are a number": packed(FromNode.CALLS, calls=1),
    "a call beyond the chunk": packed(FromNode.CALLS, calls=[[7, 0, 3, 1, None]]),
    "a record that is no object": packed(FromNode.LOG, b"1"),
    "a record that is no JSON": packed(FromNode.LOG, b"{"),
    "an error that no pool raises": failed("SystemExit"),
    "modules that are numbers": packed(FromNode.MISFIT, modules=[1]),
    "a confirmation without a request": packed(FromNode.ABANDONED, number=1),
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
def test_a_message_that_no_node_sends_is_refused(message: bytes) -> None:
    node = node_with_chunk()

    with pytest.raises(InvalidNewsError):
        news_of(node, message)

    assert [held.chunk_id for held in node.take_held()] == [7]


def test_a_chunk_is_returned_once() -> None:
    node = node_with_chunk()
    [(returned, lost)] = news_of(node, packed(FromNode.LOST, **LOST))
    assert (returned.chunk_id, lost.rows, lost.blamed, node.slots) == (7, range(1), True, 4)

    with pytest.raises(InvalidNewsError, match="doesn't have"):
        news_of(node, packed(FromNode.LOST, **LOST))


def test_texts_of_a_node_are_cut_off() -> None:
    [(_, lost)] = news_of(
        node_with_chunk(), packed(FromNode.LOST, **{**LOST, "cause": "x" * 10**6})
    )

    assert len(lost.cause) == 1_000


def test_what_was_sent_before_an_abandon_is_ignored() -> None:
    node = node_with_chunk()
    node.abandon(3)
    node.hold(chunk(8), suspect=False)
    before = [packed(FromNode.LOST, **LOST), failed("ResourceError")]
    after = packed(FromNode.LOST, **{**LOST, "chunk_id": 8})

    found = news_of(node, *before, packed(FromNode.ABANDONED, number=3), after)

    assert [lost.chunk_id for _, lost in found] == [8]
    assert not node.awaits_abandon


def test_calls_under_way_end_with_their_chunk() -> None:
    node = node_with_chunk()
    calls = packed(FromNode.CALLS, calls=[[7, 0, 1, 4242, None], [6, 0, 1, 4242, None]])
    news_of(node, calls)
    assert [call.chunk_id for call in node.calls] == [7]

    news_of(node, packed(FromNode.LOST, **LOST))
    assert node.calls == ()


def test_suspects_have_slots_of_their_own() -> None:
    node = node_with_chunk()
    node.hold(chunk(8), suspect=True)

    assert (node.slots, node.suspect_slots) == (3, 1)


def test_a_body_begins_where_arrow_can_read_it_in_place() -> None:
    record = json.dumps({"msg": "hello"}).encode()
    start = packed(FromNode.LOG, record).index(record)
    second = packed(FromNode.LOG, record) * 2

    assert start % 64 == 0
    assert second.rindex(record) % 64 == 0


def test_a_run_is_suspicious_after_its_nodes_disappeared_three_times() -> None:
    losses = Losses()

    assert [losses.add(chunk(seqs=seqs)) for seqs in ((1, 2), (2, 3), (4,), (3, 2))] == [1, 2, 1, 3]
    assert MOST_LOSSES == 3


def test_a_run_that_a_node_returned_is_not_suspicious_any_more() -> None:
    losses = Losses()
    losses.add(chunk(seqs=(1, 2)))
    losses.forget(chunk(seqs=(2, 9)))

    assert losses.add(chunk(seqs=(2,))) == 1
    assert losses.add(chunk(seqs=(1,))) == 2

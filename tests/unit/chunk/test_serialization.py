from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from batchflow.chunk import Change, Chunk, ChunkResult, Leg, Visit
from batchflow.chunk.result import FAILURE_SCHEMA, REASON_SCHEMA
from batchflow.chunk.serialization import read_chunk, read_result, write_chunk, write_result
from batchflow.definition.cause import Place, Raised, cause_of

NOW = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def make_chunk(rows: pa.Table, **changes: object) -> Chunk:
    facts = {"chunk_id": 7, "workflow": "orders", "from_code": 2, "run_id_base": 2**127 + 5}
    facts |= {"now": NOW}
    return Chunk(**{**facts, "rows": rows, "slice_seconds": 0.5, **changes})


def through_the_wire(chunk: Chunk) -> Chunk:
    sink = pa.BufferOutputStream()
    write_chunk(chunk, sink)
    return read_chunk(sink.getvalue())


@pytest.fixture
def rows() -> pa.Table:
    pieces = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", None]).dictionary_encode()]
    return pa.table(
        {
            "#seq": pa.array([1, 2, 3, 4], pa.int64()),
            "letter": pa.chunked_array(pieces),
            "key": pa.array([uuid.UUID(int=n).bytes for n in range(4)], pa.uuid()),
        }
    )


def test_a_chunk_arrives_as_it_was_sent(rows: pa.Table) -> None:
    chunk = make_chunk(rows)
    arrived = through_the_wire(chunk)
    assert arrived.rows.to_pydict() == rows.to_pydict()
    assert arrived.rows.schema == rows.schema
    assert (arrived.chunk_id, arrived.workflow, arrived.from_code) == (7, "orders", 2)
    assert arrived.now == NOW
    assert (arrived.run_id_base, arrived.slice_seconds) == (2**127 + 5, 0.5)
    assert arrived.visit is None


@pytest.mark.parametrize("visit", [Visit(0.25), Visit(0.5, may_go_back=True, barred=(1, 3))])
def test_a_chunk_arrives_with_its_visit(rows: pa.Table, visit: Visit) -> None:
    assert through_the_wire(make_chunk(rows, visit=visit)).visit == visit


def test_a_slice_is_sent_without_the_rest_of_its_table() -> None:
    rows = pa.table({"#seq": np.arange(100_000)})
    sink = pa.BufferOutputStream()
    write_chunk(make_chunk(rows.slice(5, 10)), sink)
    assert sink.getvalue().size < 2_000
    assert read_chunk(sink.getvalue()).rows["#seq"].to_pylist() == list(range(5, 15))


def test_a_chunk_without_runs_or_time_limit_arrives(rows: pa.Table) -> None:
    arrived = through_the_wire(make_chunk(rows.slice(0, 0), slice_seconds=None))
    assert arrived.num_rows == 0
    assert arrived.slice_seconds is None


def test_the_columns_that_arrive_are_views_into_what_was_read() -> None:
    sink = pa.BufferOutputStream()
    write_chunk(make_chunk(pa.table({"#seq": np.arange(1_000)})), sink)
    buffer = sink.getvalue()
    values = read_chunk(buffer).rows["#seq"].chunk(0).buffers()[1]
    assert buffer.address <= values.address < buffer.address + buffer.size


def test_the_run_id_is_the_base_and_the_sequence_number(rows: pa.Table) -> None:
    assert make_chunk(rows).run_id(2) == uuid.UUID(int=2**127 + 5 + 3)


@pytest.mark.parametrize("sink", [pa.BufferOutputStream, io.BytesIO])
def test_a_result_arrives_as_it_was_sent(sink: type) -> None:
    result = ChunkResult(
        chunk_id=7,
        outcomes=np.array([0, 3, 4], np.int8),
        to_codes=np.array([1, -1, -1], np.int16),
        changes={
            "total": Change(pa.array([1.5, None, None]), np.array([True, False, False])),
            "tags": Change(pa.array([["x"], [], None]), None),
        },
        failures=pa.table([[1], ["E"], ["m"], ["t"], ["f"], [True], ["c"]], schema=FAILURE_SCHEMA),
        reasons=pa.table([[2], ["why"]], schema=REASON_SCHEMA),
        seconds=0.25,
        causes=(
            cause_of(Raised("E", "m", Place("/a/b.py", "f", 7, "raise E"))),
            cause_of(Raised("F", "n"), Raised("G", "o")),
        ),
        worker="web-1:4242",
        slowest=((2, 0, 0.125),),
    )
    written = sink()
    write_result(result, written)
    arrived = read_result(pa.py_buffer(written.getvalue()))

    assert (arrived.chunk_id, arrived.seconds, arrived.num_rows) == (7, 0.25, 3)
    assert arrived.outcomes.tolist() == [0, 3, 4]
    assert arrived.to_codes.tolist() == [1, -1, -1]
    assert arrived.changes["total"].written is not None
    assert arrived.changes["total"].written.tolist() == [True, False, False]
    assert arrived.changes["tags"].written is None
    assert arrived.changes["tags"].values.to_pylist() == [["x"], [], None]
    assert arrived.failures.equals(result.failures)
    assert arrived.reasons.equals(result.reasons)
    assert arrived.later == ()
    assert arrived.causes == result.causes
    assert (arrived.worker, arrived.slowest) == ("web-1:4242", ((2, 0, 0.125),))


def test_the_results_of_further_steps_arrive_as_they_were_sent() -> None:
    def leg(code: int, rows: list[int], seconds: float) -> Leg:
        outcomes = np.zeros(len(rows), np.int8)
        to_codes = np.full(len(rows), code + 1, np.int16)
        return Leg(code, np.array(rows, np.int32), outcomes, to_codes, seconds)

    result = ChunkResult(
        chunk_id=7,
        outcomes=np.zeros(3, np.int8),
        to_codes=np.ones(3, np.int16),
        changes={},
        failures=FAILURE_SCHEMA.empty_table(),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=0.25,
        later=(leg(1, [2, 0], 0.5), leg(2, [], 0.0), leg(1, [2], 1.5)),
    )
    written = pa.BufferOutputStream()
    write_result(result, written)
    arrived = read_result(written.getvalue())

    sent = [
        (leg.from_code, leg.rows.tolist(), leg.to_codes.tolist(), leg.seconds)
        for leg in result.later
    ]
    assert sent == [
        (leg.from_code, leg.rows.tolist(), leg.to_codes.tolist(), leg.seconds)
        for leg in arrived.later
    ]

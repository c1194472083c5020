"""The backlog counts the waiting runs at each status, and never offers a claimed bucket."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.coordinator.backlog import Backlog, Span
from batchflow.store.schema.layout import BUCKET_BITS, SLOT_BITS
from kit.effort import examples

BUCKET = 1 << BUCKET_BITS


def waiting(*rows: tuple[int, int, int]) -> pa.Table:
    codes, buckets, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "status": pa.array(codes, pa.uint8()),
            "bucket": pa.array(buckets, pa.int64()),
            "rows": pa.array(counts, pa.int64()),
        }
    )


def backlog(*rows: tuple[int, int, int], statuses: int = 3) -> Backlog:
    made = Backlog(statuses)
    made.replace(waiting(*rows))
    return made


def test_a_span_takes_buckets_until_it_holds_enough() -> None:
    counted = backlog((1, 0, 10), (1, 2, 10), (1, 3, 10), (1, 4, 10))

    assert counted.next_span(1, 30) == Span(1, 0, 3)


def test_a_span_stops_before_the_bucket_that_would_exceed_the_limit() -> None:
    counted = backlog((1, 0, 10), (1, 1, 10), (1, 2, 10))

    assert counted.next_span(1, 25) == Span(1, 0, 1)


def test_a_bucket_that_exceeds_the_limit_by_itself_is_taken_alone() -> None:
    assert backlog((1, 5, 100), (1, 6, 1)).next_span(1, 10) == Span(1, 5, 5)


def test_fewer_runs_than_the_least_are_not_offered() -> None:
    counted = backlog((1, 0, 10))

    assert counted.next_span(1, 100, least_rows=11) is None
    assert counted.next_span(1, 100, least_rows=10) == Span(1, 0, 0)


def test_a_status_without_waiting_runs_offers_nothing() -> None:
    assert backlog((1, 0, 10)).next_span(0, 100) is None


def test_a_claimed_bucket_is_not_offered_until_it_is_released() -> None:
    counted = backlog((1, 0, 10), (1, 1, 10))
    span = Span(1, 0, 0)
    counted.claim(span)
    counted.add(1, np.array([5]))

    assert counted.next_span(1, 100) == Span(1, 1, 1)
    counted.release(span)
    assert counted.next_span(1, 100) == Span(1, 0, 1)


def test_a_span_ends_before_a_claimed_bucket() -> None:
    counted = backlog((1, 0, 10), (1, 1, 10), (1, 2, 10))
    counted.claim(Span(1, 1, 1))

    assert counted.next_span(1, 100) == Span(1, 0, 0)


def test_runs_of_the_next_turn_are_not_offered_in_this_one() -> None:
    counted = backlog()
    counted.add(1, np.array([5, 6]), next_turn=True)

    assert counted.next_span(1, 100) is None
    assert counted.begin_next_turn()
    assert counted.next_span(1, 100) == Span(1, 0, 0)
    assert not counted.begin_next_turn()


def test_a_load_is_counted_bucket_by_bucket() -> None:
    counted = backlog()
    counted.add_range(0, BUCKET - 3, 2 * BUCKET + 4)
    counted.begin_next_turn()

    assert counted.waiting.tolist() == [BUCKET + 8, 0, 0]
    assert counted.next_span(0, 3) == Span(0, 0, 0)


def test_a_load_of_one_run_is_one_run() -> None:
    counted = backlog()
    counted.add_range(2, 7, 7)

    assert counted.waiting.tolist() == [0, 0, 1]


def test_counted_arrivals_go_to_the_turn_of_their_status() -> None:
    counted = backlog()
    arrived = waiting((0, 0, 4), (2, 1, 6)).rename_columns(["to", "bucket", "rows"])
    counted.add_counted(arrived, later=np.array([True, False, False]))

    assert counted.next_span(0, 100) is None
    assert counted.next_span(2, 100) == Span(2, 1, 1)


@pytest.mark.parametrize("bucket", [0, 1, 61_035])
def test_a_span_covers_the_sequence_numbers_of_its_buckets(bucket: int) -> None:
    span = Span(0, bucket, bucket)

    assert span.first_seq >> BUCKET_BITS == span.last_seq >> BUCKET_BITS == bucket
    assert span.last_seq - span.first_seq == BUCKET - 1


# The runs of a shard that was made of others are in several slots.
_SEQS = st.builds(
    lambda slot, seq: (slot << SLOT_BITS) + seq,
    st.sampled_from([0, 1, 3, 4_000]),
    st.integers(0, 4 * BUCKET),
)


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 2), _SEQS), max_size=50), st.integers(1, 20))
def test_each_run_is_offered_exactly_once(arrivals: list[tuple[int, int]], most: int) -> None:
    counted = Backlog(3)
    for code, seq in arrivals:
        counted.add(code, np.array([seq]))
    every = {(code, seq >> BUCKET_BITS) for code, seq in arrivals}
    seen: Counter[tuple[int, int]] = Counter()

    for code in range(3):
        while (span := counted.next_span(code, most)) is not None:
            seen.update(
                (at, bucket)
                for at, bucket in every
                if at == code and span.first_bucket <= bucket <= span.last_bucket
            )
            counted.claim(span)

    assert seen == Counter(every)


def test_runs_in_distant_slots_take_little_memory() -> None:
    far = 4_000 << SLOT_BITS
    counted = backlog((1, 2, 10))
    counted.add_range(1, far, far + BUCKET)
    counted.add(1, np.array([7, far + 7]))

    assert counted.waiting.tolist() == [0, 10 + BUCKET + 1 + 2, 0]
    # A claim has the runs of one slot, as it is a range of seqs.
    assert counted.next_span(1, 100) == Span(1, 0, 2)
    assert counted._this_turn.shape[1] < 10

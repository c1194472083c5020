"""A node can't flood the log of the coordinator."""

from __future__ import annotations

from batchflow.executor.nodes.record_limit import RECORDS_PER_SECOND, RecordLimit


def taken(limit: RecordLimit, records: int, now: float) -> int:
    return sum(limit.takes(now) for _ in range(records))


def test_a_burst_is_handled_and_then_so_many_records_a_second() -> None:
    limit = RecordLimit()
    assert taken(limit, 2_500, 0.0) == 2_000
    assert taken(limit, 500, 0.5) == RECORDS_PER_SECOND // 2
    assert taken(limit, 500, 1.5) == RECORDS_PER_SECOND
    assert taken(limit, 5_000, 1_000.0) == 2_000


def test_the_records_that_are_left_out_are_counted_once_a_second() -> None:
    limit = RecordLimit()
    taken(limit, 2_000, 0.0)
    assert limit.take_left_out(0.0) == 0
    taken(limit, 7, 0.0)
    assert limit.take_left_out(0.0) == 7
    taken(limit, 3, 0.0)
    assert limit.take_left_out(0.5) == 0
    assert limit.take_left_out(1.0) == 3
    taken(limit, RECORDS_PER_SECOND + 2, 1.0)
    assert limit.take_left_out(1.1, at_once=True) == 2

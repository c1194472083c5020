"""55,105 real flights end at the statuses that were counted independently."""

from __future__ import annotations

from pathlib import Path

import pytest

import batchflow as bf
from kit.flights import FLIGHTS, SOURCE, flights


@pytest.mark.skipif(not FLIGHTS.exists(), reason=f"the flights aren't at {FLIGHTS}")
def test_flights_end_at_the_statuses_counted_independently(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "flights.duckdb", flights, workers=2) as engine:
        loaded = engine.trigger_many(SOURCE, foreign_id="flight")
        again = engine.trigger_many(SOURCE, foreign_id="flight")
        report = engine.run()

        assert loaded.loaded == 55_105
        assert again.loaded == 0
        counts = dict(engine.runs().aggregate("status, count(*)").fetchall())
        remarks = dict(
            engine.runs("status = 'CANCELLED'").aggregate("right(remark, 1), count(*)").fetchall()
        )
        late_at_night = engine.runs("scheduled_departure = '0005'").aggregate("count(*)").fetchall()
        jumps = dict(
            engine.sql(
                "SELECT from_status || ' ' || to_status, count(*) "
                "FROM flights.transitions GROUP BY ALL"
            ).fetchall()
        )

    assert counts == {
        "CANCELLED": 1_232,
        "DIVERTED": 122,
        "ARRIVED_LATE": 17_806,
        "ARRIVED_ON_TIME": 35_945,
    }
    assert remarks == {"A": 421, "B": 576, "C": 235}
    assert jumps["AIRBORNE DIVERTED"] == 24
    assert jumps["LANDED DIVERTED"] == 122 - 24
    assert late_at_night[0][0] > 0
    assert report.outcome("failed") == 0

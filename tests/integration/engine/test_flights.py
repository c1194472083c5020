"""55,105 real flights end at the statuses that were counted independently."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchflow as bf

FLIGHTS = Path(__file__).parents[4] / "shared" / "data" / "flights_2015_01.csv.gz"
LATE_MINUTES = 15


class FlightStatus(enum.Enum):
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    DEPARTED = "departed"
    AIRBORNE = "airborne"
    LANDED = "landed"
    DIVERTED = "diverted"
    ARRIVED_ON_TIME = "arrived on time"
    ARRIVED_LATE = "arrived late"


@dataclass
class Flight:
    airline: str
    flight_number: int
    day: int
    origin_airport: str
    scheduled_departure: str
    departure_time: str | None
    wheels_off: str | None
    wheels_on: str | None
    arrival_delay: int | None
    diverted: bool
    cancelled: bool
    cancellation_reason: str | None
    remark: str | None = None


flights = bf.Workflow("flights", Flight, FlightStatus)


@flights.step(FlightStatus.SCHEDULED, to=[FlightStatus.CANCELLED, FlightStatus.DEPARTED])
def depart(run: bf.Run[Flight, FlightStatus]) -> FlightStatus:
    # Some were cancelled after they had left the gate, a few even after take-off.
    if run.object.cancelled:
        run.object.remark = f"cancelled for reason {run.object.cancellation_reason}"
        return FlightStatus.CANCELLED
    return FlightStatus.DEPARTED


flights.sql_step(
    FlightStatus.DEPARTED,
    to=[FlightStatus.AIRBORNE],
    set={"remark": "'off at ' || wheels_off"},
    status=FlightStatus.AIRBORNE,
)


@flights.batch_step(
    FlightStatus.AIRBORNE,
    to=[FlightStatus.LANDED, FlightStatus.DIVERTED],
    columns=["diverted", "wheels_on"],
)
def land(batch: bf.Batch[Flight, FlightStatus]) -> Any:
    never_down = batch["wheels_on"] == None  # noqa: E711 - an array of strings and None
    return np.where(batch["diverted"] & never_down, FlightStatus.DIVERTED, FlightStatus.LANDED)


@flights.step(
    FlightStatus.LANDED,
    to=[FlightStatus.ARRIVED_ON_TIME, FlightStatus.ARRIVED_LATE, FlightStatus.DIVERTED],
)
def arrive(run: bf.Run[Flight, FlightStatus]) -> FlightStatus:
    if run.object.diverted:
        return FlightStatus.DIVERTED
    assert run.object.arrival_delay is not None
    late = run.object.arrival_delay >= LATE_MINUTES
    return FlightStatus.ARRIVED_LATE if late else FlightStatus.ARRIVED_ON_TIME


@pytest.mark.skipif(not FLIGHTS.exists(), reason=f"the flights aren't at {FLIGHTS}")
def test_flights_end_at_the_statuses_counted_independently(tmp_path: Path) -> None:
    source = (
        "SELECT *, concat_ws(' ', AIRLINE, FLIGHT_NUMBER, DAY, ORIGIN_AIRPORT, "
        "SCHEDULED_DEPARTURE) AS flight "
        f"FROM read_csv('{FLIGHTS}', all_varchar = true)"
    )
    with bf.Engine(tmp_path / "flights.duckdb", flights, workers=2) as engine:
        loaded = engine.trigger_many(source, foreign_id="flight")
        again = engine.trigger_many(source, foreign_id="flight")
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

"""The flights of January 2015, and a workflow with a step of each kind for them.

Workers import this module with the steps, so it imports nothing but batchflow and NumPy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import batchflow as bf

FLIGHTS = Path(__file__).parents[3] / "shared" / "data" / "flights_2015_01.csv.gz"
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


SOURCE = (
    "SELECT *, concat_ws(' ', AIRLINE, FLIGHT_NUMBER, DAY, ORIGIN_AIRPORT, "
    "SCHEDULED_DEPARTURE) AS flight "
    f"FROM read_csv('{FLIGHTS}', all_varchar = true)"
)

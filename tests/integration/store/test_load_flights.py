from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from loading_kit import opened

FLIGHTS = Path(__file__).parents[4] / "shared" / "data" / "flights_2015_01.csv.gz"

pytestmark = pytest.mark.skipif(not FLIGHTS.exists(), reason=f"{FLIGHTS} isn't here")


@dataclass
class Flight:
    airline: str
    flight_number: int
    day: int
    origin_airport: str
    scheduled_departure: str
    cancelled: bool
    diverted: bool
    departure_time: str | None = None
    arrival_delay: float | None = None
    cancellation_reason: str | None = None


KEY = "concat_ws('/', AIRLINE, FLIGHT_NUMBER, DAY, ORIGIN_AIRPORT, SCHEDULED_DEPARTURE)"


def test_flights_are_loaded_with_their_original_times() -> None:
    query = f"SELECT {KEY} AS key, * FROM read_csv('{FLIGHTS}', all_varchar = true)"
    with opened(Flight) as loader:
        report = loader.load(query, foreign_id="key")
        again = loader.load(query, foreign_id="key")

        counted = loader.query(
            "SELECT count(*) FILTER (cancelled) AS cancelled, "
            "count(*) FILTER (diverted) AS diverted, "
            "count(*) FILTER (NOT cancelled AND NOT diverted AND arrival_delay >= 15) AS late, "
            "count(*) FILTER (length(scheduled_departure) <> 4) AS mangled FROM items.runs"
        )
    assert (report.loaded, report.skipped_conflicts) == (55_105, 0)
    assert (again.loaded, again.skipped_conflicts) == (0, 55_105)
    assert counted == [{"cancelled": 1_232, "diverted": 122, "late": 17_806, "mangled": 0}]


def test_a_compressed_csv_file_is_loaded_by_its_path() -> None:
    with opened(Flight) as loader:
        report = loader.load(FLIGHTS, foreign_id="FLIGHT_NUMBER")

        assert report.loaded + report.skipped_conflicts == 55_105
        assert set(map(len, loader.column("scheduled_departure"))) == {4}

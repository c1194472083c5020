from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from batchflow.cli.time_options import parse_age, parse_time

NOW = datetime(2030, 3, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_of_day_is_the_next_one_in_local_time() -> None:
    assert parse_time("13:30", NOW) == datetime(2030, 3, 30, 12, 30, tzinfo=UTC)


def test_a_past_time_of_day_is_tomorrow_even_across_a_change_of_clocks() -> None:
    assert parse_time("6:00", NOW) == datetime(2030, 3, 31, 4, 0, tzinfo=UTC)


def test_a_date_and_time_without_a_zone_is_local() -> None:
    assert parse_time("2030-07-01T06:00", NOW) == datetime(2030, 7, 1, 4, 0, tzinfo=UTC)


def test_a_date_and_time_with_a_zone_keeps_it() -> None:
    moment = parse_time("2030-07-01T06:00+00:00", NOW)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["soon", "25:00", "12:60", ""])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta(0)),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


def test_a_date_is_its_local_midnight() -> None:
    assert parse_age("2030-07-01") == datetime(2030, 6, 30, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["30", "d", "-3d", "3 d", "1.5h", "30s", "3y", "13:30", "soon"])
def test_anything_else_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_age(text)

"""Short texts for numbers, durations and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchflow.short_form import counted, short_moment, short_number, short_seconds

NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"), (0.25, "0.25"), (7, "7"), (-1_500, "-1.5k"), (987, "987"),
        (999.9, "1k"), (1_000, "1k"),
        (12_345, "12.3k"), (999_960, "1M"), (1_234_567, "1.23M"), (10_000_000, "10M"),
        (2_500_000_000, "2.5G"), (7e12, "7e+03G"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(number: float, shown: str) -> None:
    assert short_number(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 µs"), (0.0000015, "1.5 µs"), (0.25, "250 ms"), (0.9999, "1 s"), (59.99, "1 min"),
        (90, "1.5 min"), (5_400, "1.5 h"), (86_400, "1 d"), (400 * 86_400, "400 d"),
    ],
)  # fmt: skip
def test_durations_are_shown_in_their_largest_unit(seconds: float, shown: str) -> None:
    assert short_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("later", "shown"),
    [
        (timedelta(hours=1), "13:00"),
        (timedelta(hours=13), "Tue 01:00"),
        (timedelta(days=-1), "Sun 12:00"),
        (timedelta(days=10), "16 May 12:00"),
    ],
)
def test_a_time_of_another_day_shows_the_day(later: timedelta, shown: str) -> None:
    assert short_moment(NOON + later, NOON) == shown


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1_234, "1,234 runs")]
)
def test_a_count_has_its_noun_in_the_right_number(number: int, text: str) -> None:
    assert counted(number, "run") == text

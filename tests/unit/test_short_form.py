"""Numbers and spans of time at a glance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchflow.short_form import short_moment, short_number, short_seconds

NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"), (0.25, "0.25"), (7, "7"), (-1_500, "-1.5k"), (987, "987"),
        (999.9, "1k"), (1_000, "1k"),
        (12_345, "12.3k"), (999_960, "1M"), (1_234_567, "1.23M"), (10_000_000, "10M"),
        (2_500_000_000, "2.5G"), (7e12, "7e+03G"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(number: float, said: str) -> None:
    assert short_number(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 µs"), (0.0000015, "1.5 µs"), (0.25, "250 ms"), (0.9999, "1 s"), (59.99, "1 min"),
        (90, "1.5 min"), (5_400, "1.5 h"), (86_400, "1 d"), (400 * 86_400, "400 d"),
    ],
)  # fmt: skip
def test_spans_are_said_in_their_largest_unit(seconds: float, said: str) -> None:
    assert short_seconds(seconds) == said


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (timedelta(hours=1), "13:00"),
        (timedelta(hours=13), "Tue 01:00"),
        (timedelta(days=-1), "Sun 12:00"),
        (timedelta(days=10), "16 May 12:00"),
    ],
)
def test_moments_say_their_day_where_it_is_another(later: timedelta, said: str) -> None:
    assert short_moment(NOON + later, NOON) == said

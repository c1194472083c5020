"""Numbers and spans of time at a glance."""

from __future__ import annotations

import pytest

from batchflow.chart.wording import short_number, short_seconds


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"), (0.25, "0.25"), (7, "7"), (987, "987"), (999.9, "1k"), (1_000, "1k"),
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

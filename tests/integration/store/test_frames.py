"""Frames of runs have the values that the store has, for each type of a field."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from store_kit import Bench

TYPES = (
    "SELECT uuid() AS u, [uuid()] AS us, {'u': uuid(), 'b': true} AS s, INTERVAL 90 SECOND AS i, "
    "[INTERVAL 1 DAY, NULL] AS l, MAP {'k': INTERVAL 1 DAY} AS m, 1.10::DECIMAL(38, 2) AS d, "
    "2::HUGEINT AS h, 'A'::ENUM('A', 'B') AS e, ['A'::ENUM('A', 'B')] AS es, true AS b, "
    "TIMESTAMPTZ '2030-01-02 03:04:05Z' AS t, 'x'::BLOB AS x, NULL::DECIMAL(9, 3) AS n"
)

MOMENT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.filterwarnings("ignore::polars.exceptions.PerformanceWarning")
def test_polars_takes_every_type_of_a_field(bench: Bench) -> None:
    frame = bench.questions.sql(TYPES).pl()

    row = frame.row(0, named=True)
    assert str(UUID(row["u"])) == row["u"]
    assert str(UUID(row["us"][0])) == row["us"][0]
    assert str(UUID(row["s"]["u"])) == row["s"]["u"]
    assert frame["i"].dtype == pl.Duration("us")
    assert frame["l"].dtype == pl.List(pl.Duration("us"))
    assert (frame["b"].dtype, row["d"]) == (pl.Boolean, Decimal("1.10"))
    assert frame["t"].dtype == pl.Datetime("us", "UTC")


def test_run_ids_in_a_frame_name_their_runs(bench: Bench) -> None:
    bench.seed(2)
    run_ids = bench.questions.runs().pl()["run_id"].to_list()

    assert [str(bench.questions.find(each).run_id) for each in run_ids] == run_ids
    assert bench.questions.pause(run_ids=run_ids).changed == 2


def test_pandas_keeps_decimals_and_time_zones(bench: Bench) -> None:
    frame = bench.questions.sql(TYPES).df()

    assert (frame["d"][0], frame["h"][0], frame["n"][0]) == (Decimal("1.10"), 2, None)
    assert str(frame["t"].dtype) == "datetime64[us, UTC]"
    assert isinstance(frame["u"][0], UUID)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("[TIMESTAMPTZ '2030-01-02 03:04:05Z', NULL]", [MOMENT, None]),
        ("[[TIMESTAMPTZ '2030-01-02 03:04:05Z']]", [[MOMENT]]),
        ("[{'at': TIMESTAMPTZ '2030-01-02 03:04:05Z'}]", [{"at": MOMENT}]),
        ("{'at': [TIMESTAMPTZ '2030-01-02 03:04:05Z']}", {"at": [MOMENT]}),
        ("MAP {'at': [TIMESTAMPTZ '2030-01-02 03:04:05Z']}", {"at": [MOMENT]}),
        ("[1.10::DECIMAL(4, 2)]", [Decimal("1.10")]),
        ("[1.10::DECIMAL(4, 2)]::DECIMAL(4, 2)[1]", [Decimal("1.10")]),
        ("[170141183460469231731687303715884105727]", [2**127 - 1]),
        ("[]::DECIMAL(4, 2)[]", []),
    ],
)
def test_pandas_keeps_nested_decimals_and_time_zones(
    bench: Bench, sql: str, expected: object
) -> None:
    frame = bench.questions.sql(
        f"SELECT 1 AS n, x FROM (VALUES (0, {sql}), (1, NULL)) t(place, x) ORDER BY place"
    ).df()

    value, null = frame["x"]
    assert list(frame["n"]) == [1, 1]
    assert (list(value) if isinstance(value, np.ndarray) else value) == expected
    assert null is pd.NA or null is None

"""Frames of runs have the values that the store has, for each type of a field."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import polars as pl
import pytest
from store_kit import Bench

TYPES = (
    "SELECT uuid() AS u, [uuid()] AS us, {'u': uuid(), 'b': true} AS s, INTERVAL 90 SECOND AS i, "
    "[INTERVAL 1 DAY, NULL] AS l, MAP {'k': INTERVAL 1 DAY} AS m, 1.10::DECIMAL(38, 2) AS d, "
    "2::HUGEINT AS h, 'A'::ENUM('A', 'B') AS e, ['A'::ENUM('A', 'B')] AS es, true AS b, "
    "TIMESTAMPTZ '2030-01-02 03:04:05Z' AS t, 'x'::BLOB AS x, NULL::DECIMAL(9, 3) AS n"
)


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

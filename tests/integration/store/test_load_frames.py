"""Frames, Arrow tables and SQL are loaded as they are, or refused by the column."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader, opened

from batchflow.errors import InvalidRowsError, SourceError


@dataclass
class Work:
    key: str
    span: dt.timedelta | None = None
    spans: list[dt.timedelta] | None = None
    number: int | None = None
    text: str | None = None


def refused(source: Any, problem: str, kind: type[Exception] = SourceError) -> None:
    with opened(Work) as loader:
        with pytest.raises(kind, match=problem):
            loader.load(source, foreign_id="key")
        assert loader.column("key") == []


def test_durations_finer_than_a_microsecond_do_not_fit() -> None:
    spans = pa.array([1_000, 1_999, None, -3_000], pa.duration("ns"))
    table = pa.table({"key": ["a", "b", "c", "d"], "span": spans})
    for source in (table, table.to_reader(), table.to_pandas()):
        with opened(Work) as loader:
            report = loader.load(source, foreign_id="key", on_invalid="skip")

            assert report.skipped_invalid == 1
            assert loader.column("epoch_us(span)") == [1, None, -3]


def test_nested_durations_finer_than_a_microsecond_are_refused() -> None:
    spans = pa.array([[1_000, 1_999]], pa.list_(pa.duration("ns")))

    refused(pa.table({"key": ["a"], "spans": spans}), "can't be read")


def test_a_value_of_another_type_is_named_with_its_row() -> None:
    frame = pd.DataFrame({"key": ["a", "b"], "text": ["secret", 5]})

    refused(frame, r"column 'text' doesn't fit str.*\(row 2", InvalidRowsError)


def test_a_foreign_id_of_several_types_is_named_with_them() -> None:
    frame = pd.DataFrame({"id": ["secret", 5], "key": ["a", "b"]})
    with (
        opened(Work) as loader,
        pytest.raises(SourceError, match="column 'id' has values of the types int and str"),
    ):
        loader.load(frame, foreign_id="id")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pd.period_range("2024-01", periods=1, freq="M"), "'text' of type pandas.period"),
        (pd.arrays.SparseArray([1]), "Sparse pandas data .*text"),
    ],
)
def test_a_type_that_only_pandas_knows_is_refused(values: Any, problem: str) -> None:
    refused(pd.DataFrame({"key": ["a"], "text": values}), problem)
    frame = pd.DataFrame({"key": ["a"], "other": pd.period_range("2024", periods=1, freq="Y")})
    with opened(Work) as loader:
        assert loader.load(frame, foreign_id="key").loaded == 1


def test_whole_numbers_with_gaps_in_a_frame_are_loaded() -> None:
    frame = pd.DataFrame({"key": ["a", "b"], "number": [1.0, None]})
    with opened(Work) as loader:
        loader.load(frame, foreign_id="key")
        assert loader.column("number") == [1, None]

    refused(pd.DataFrame({"key": ["a", "b"], "number": [1.5, None]}), "number", InvalidRowsError)


def test_sql_may_begin_with_a_comment(loader: Loader) -> None:
    query = "-- last night's\n/* all\nof them */ SELECT 'a' AS name, 1.5::DOUBLE AS price"

    assert loader.load(query).loaded == 1


@pytest.mark.parametrize("reads_a_file", [False, True])
def test_sql_with_a_column_twice_is_refused(reads_a_file: bool, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    rows = f" FROM '{tmp_path / 'a.parquet'}'" if reads_a_file else ""

    refused(f"SELECT 'a' AS key, 'b' AS Key{rows}", "'key', 'Key', which SQL can't distinguish")


def test_an_empty_path_is_refused() -> None:
    refused("", "path of the source is empty")

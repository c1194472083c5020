"""Files are read as they are written: columns by their own names, quotes unchanged."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader

from batchflow.errors import SourceError


def csv_file(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


HEADERS = [
    ("name,name,price", ["name", "name"]),
    ("name,price,NAME", ["name", "NAME"]),
    ("name,other,price,Other,other", ["other", "Other", "other"]),
    ("name,name_1,price,name", ["name", "name"]),
]


def refused(loader: Loader, path: Path | str, twice: list[str]) -> None:
    columns = re.escape(", ".join(map(repr, twice)))
    with pytest.raises(
        SourceError, match=f"has the columns {columns}, which SQL can't distinguish"
    ):
        loader.load(path)
    assert loader.column("seq") == []


@pytest.mark.parametrize(("header", "twice"), HEADERS)
def test_a_csv_file_that_names_a_column_twice_is_refused(
    header: str, twice: list[str], loader: Loader, tmp_path: Path
) -> None:
    line = ",".join("1" * len(header.split(",")))
    refused(loader, csv_file(tmp_path, f"{header}\n{line}\n"), twice)


@pytest.mark.parametrize(("header", "twice"), HEADERS)
def test_a_parquet_file_that_has_a_column_twice_is_refused(
    header: str, twice: list[str], loader: Loader, tmp_path: Path
) -> None:
    names = header.split(",")
    columns = [pa.array(["1"])] * len(names)
    pq.write_table(pa.Table.from_arrays(columns, names), tmp_path / "a.parquet")

    refused(loader, tmp_path / "a.parquet", twice)


def test_one_of_many_files_that_has_a_column_twice_is_named(loader: Loader, tmp_path: Path) -> None:
    csv_file(tmp_path, "name,price\na,1\n", "1.csv")
    csv_file(tmp_path, "name,price,price\nb,1,2\n", "2.csv")

    with pytest.raises(SourceError, match=r"2\.csv' has the columns 'price', 'price'"):
        loader.load(tmp_path / "*.csv")


def test_nested_names_may_repeat_the_names_of_columns(loader: Loader, tmp_path: Path) -> None:
    query = "SELECT 'a' AS name, 1.0::DOUBLE AS price, {'name': 1, 'price': [{'name': 2}]} AS other"
    duckdb.execute(f"COPY ({query}) TO '{tmp_path / 'a.parquet'}'")

    assert loader.load(tmp_path / "a.parquet").loaded == 1


def test_columns_of_a_csv_file_without_names_are_ignored(loader: Loader, tmp_path: Path) -> None:
    assert loader.load(csv_file(tmp_path, "name,price,,\na,1,,\n")).loaded == 1


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param('a,1,"open\nb,2,x\n', id="in the middle"),
        pytest.param('a,1,x\nb,2,"open\n', id="in the last line"),
        pytest.param('a,1,x\nb,2,"open', id="in the last line, which has no end"),
        pytest.param('"a,1,x\nb,2,y\n', id="at the start"),
        pytest.param('a,1,"x"\nb,2,"open\nc,3,y\n', id="after others that are closed"),
        pytest.param('a,1,"x"y\n', id="before more text"),
        pytest.param("a,1,x\n" * 30_000 + 'b,2,"open\nc,3,y\n', id="beyond what is looked at"),
    ],
)
def test_a_quote_that_is_not_closed_is_refused(rows: str, loader: Loader, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        loader.load(csv_file(tmp_path, f"name,price,note\n{rows}"))

    assert loader.column("seq") == []


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        pytest.param('a,1,"x, ""y"""\nb,2,\n', ['x, "y"', None], id="doubled"),
        pytest.param('a,1,"x\ny"\n', ["x\ny"], id="with a line's end"),
        pytest.param('a,1,5" pipe\n', ['5" pipe'], id="within a text"),
        pytest.param(
            "".join(f"{n},1,x\n" for n in range(30_000)) + 'b,2,"y"\n',
            ["x"] * 30_000 + ["y"],
            id="beyond what is looked at",
        ),
    ],
)
def test_quotes_are_read_as_written(
    rows: str, notes: list[str | None], loader: Loader, tmp_path: Path
) -> None:
    loader.load(csv_file(tmp_path, f"name,price,note\n{rows}"))

    assert loader.column("note") == notes


def test_csv_files_of_different_dialects_are_loaded_in_order(
    loader: Loader, tmp_path: Path
) -> None:
    csv_file(tmp_path, "name,price,note\na,1,x\n", "1.csv")
    csv_file(tmp_path, 'note;name;price\n"x;y";b;2\n', "2.csv")
    csv_file(tmp_path, "name\tprice\nc\t3\n", "3.csv")
    (tmp_path / "4.csv.gz").write_bytes(gzip.compress(b"price,name\n4,d\n"))

    loader.load(tmp_path / "*.csv*")

    assert loader.column("name") == ["a", "b", "c", "d"]
    assert loader.column("note") == ["x", "x;y", None, None]

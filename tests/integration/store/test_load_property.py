from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from loading_kit import opened

from kit.effort import examples

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
COLUMN_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)


@dataclass
class Strange:
    key: str
    text: str | None
    number: int
    share: float


ROW = st.builds(
    Strange,
    key=st.sampled_from(["a", "b", " ", "'", '"', "a;--", "NULL", "ä", "e"]) | TEXT.filter(bool),
    text=st.none() | TEXT,
    number=st.integers(-(2**63), 2**63 - 1),
    share=st.floats(),
)
RARELY = examples(6)


def stored(source: Any, **options: Any) -> tuple[list[tuple[Any, ...]], Any]:
    with opened(Strange) as loader:
        report = loader.load(source, foreign_id="key", **options)
        rows = loader.query(
            "SELECT seq, foreign_id, key, text, number, share FROM items.runs ORDER BY number, key"
        )
    assert sorted(row.pop("seq") for row in rows) == list(range(report.loaded))
    return [tuple(map(comparable, row.values())) for row in rows], report


def comparable(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def first_of_each(rows: Sequence[Strange]) -> list[tuple[Any, ...]]:
    firsts: dict[str, Strange] = {}
    for row in rows:
        firsts.setdefault(row.key, row)
    kept = sorted(firsts.values(), key=lambda row: (row.number, row.key.encode()))
    return [(row.key, row.key, row.text, row.number, comparable(row.share)) for row in kept]


@RARELY
@given(st.lists(ROW, max_size=30))
def test_objects_and_tables_are_stored_unchanged(rows: list[Strange]) -> None:
    table = pa.Table.from_pylist(
        [vars(row) for row in rows],
        pa.schema(
            [("key", "string"), ("text", "string"), ("number", "int64"), ("share", "float64")]
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path, row_group_size=7)
        for source in (rows, table, path):
            found, report = stored(source)

            assert found == first_of_each(rows)
            assert report.loaded + report.skipped_conflicts == len(rows)


@RARELY
@given(st.lists(ROW, min_size=1, max_size=20, unique_by=lambda row: row.key))
def test_a_csv_file_is_stored_unchanged(rows: list[Strange]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with duckdb.connect() as writer:
            writer.register("rows", pa.Table.from_pylist([vars(row) for row in rows]))
            writer.execute(f"COPY rows TO '{path}' (HEADER, FORCE_QUOTE (key, text))")
        found, _ = stored(path)

    assert found == first_of_each(rows)


CELL = st.none() | TEXT | st.from_regex(r"[-+ ]?\d{0,20}([.eE]\d{0,3})?", fullmatch=True)


def python_int(cell: str | None) -> int | None:
    text = "" if cell is None else cell.strip(" ")
    whole, _, zeros = text.partition(".")
    try:
        number = int(whole) if set(zeros) <= {"0"} and "_" not in whole else None
    except ValueError:
        return None
    return number if number is not None and -(2**63) <= number < 2**63 else None


@RARELY
@given(st.lists(CELL, min_size=1, max_size=40))
def test_text_becomes_a_number_if_python_reads_the_same_number(cells: list[str | None]) -> None:
    keys = [str(n) for n in range(len(cells))]
    source = pa.table(
        {
            "key": keys,
            "text": keys,
            "share": pa.array([0.0] * len(cells)),
            "number": pa.array(cells, pa.string()),
        }
    )
    found, report = stored(source, on_invalid="skip")

    kept = {row[0]: row[3] for row in found}
    expected = {key: python_int(cell) for key, cell in zip(keys, cells, strict=True)}
    for key, number in kept.items():
        assert number == expected[key], cells[int(key)]
    for key, number in expected.items():
        plain = number is not None and str(number) == cells[int(key)]
        assert key in kept or not plain
    assert report.loaded + report.skipped_invalid == len(cells)


@RARELY
@given(st.lists(COLUMN_NAME, min_size=1, max_size=6, unique_by=str.lower), st.data())
def test_any_column_can_be_the_foreign_id(names: list[str], data: st.DataObject) -> None:
    taken = {"key", "text", "number", "share"}
    names = [name for name in names if name.lower() not in taken] or ["other"]
    chosen = data.draw(st.sampled_from(names))
    columns = {name: [f"{name}!"] for name in names}
    source = pa.table({**columns, "key": ["k"], "text": ["t"], "number": [1], "share": [0.5]})

    with opened(Strange) as loader:
        loader.load(source, foreign_id=chosen)

        assert loader.column("foreign_id") == [f"{chosen}!"]

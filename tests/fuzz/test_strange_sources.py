"""Any source is loaded completely and correctly, or nothing is loaded and the error is clear."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_objects import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.testing import inline_engine
from kit.effort import examples
from kit.things import Stage


@dataclass
class Thing:
    key: str
    number: int | None = None
    text: str | None = None


def opened() -> bf.Engine:
    things = bf.Workflow("things", Thing, Stage)
    things.sql_step(Stage.NEW, to=[Stage.DONE], set={}, status=Stage.DONE)
    return inline_engine(things)


@pytest.fixture(scope="module")
def without_runs() -> Iterator[list[bf.Engine]]:
    """Keep an engine in which nothing was stored, for the next test."""
    engines: list[bf.Engine] = []
    yield engines
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(without_runs: list[bf.Engine]) -> Iterator[bf.Engine]:
    engine = without_runs.pop() if without_runs else opened()
    yield engine
    if rows_of(engine):
        engine.close()
    else:
        without_runs.append(engine)


def rows_of(engine: bf.Engine) -> list[tuple[Any, ...]]:
    return engine.sql("SELECT key, number, text FROM things.runs ORDER BY seq").fetchall()


def require_clear(error: bf.LoadError) -> None:
    assert str(error).strip()
    assert "INTERNAL" not in str(error)


def loaded(engine: bf.Engine, source: Any) -> list[tuple[Any, ...]] | None:
    """Return the loaded rows, or None if the source was refused; then no rows are stored."""
    try:
        report = engine.trigger_many(source, foreign_id="key")
    except bf.LoadError as error:
        require_clear(error)
        assert rows_of(engine) == []
        return None
    rows = rows_of(engine)
    assert len(rows) == report.loaded
    return rows


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


REFUSED = None
ONE = [("a", 1, "x")]
PLAIN = "key,number,text\na,1,x\n"
# The file's name and bytes, and the loaded rows, or REFUSED; ANY if both are correct.
ANY = [("any", 0, "")]
FILES: dict[str, tuple[str, bytes, Any]] = {
    "plain": ("a.csv", PLAIN.encode(), ONE),
    "empty": ("a.csv", b"", REFUSED),
    "one newline": ("a.csv", b"\n", REFUSED),
    "headers alone": ("a.csv", b"key,number,text\n", []),
    "headers without an end": ("a.csv", b"key,number,text", []),
    "byte order mark": ("a.csv", codecs.BOM_UTF8 + PLAIN.encode(), ONE),
    "UTF-16": ("a.csv", PLAIN.encode("utf-16"), ANY),
    "UTF-16 without its mark": ("a.csv", PLAIN.encode("utf-16-le"), REFUSED),
    "Latin-1": ("a.csv", "key,number,text\na,1,é\n".encode("latin-1"), REFUSED),
    "Windows line ends": ("a.csv", PLAIN.replace("\n", "\r\n").encode(), ONE),
    "old Mac line ends": ("a.csv", PLAIN.replace("\n", "\r").encode(), ANY),
    "semicolons": ("a.csv", PLAIN.replace(",", ";").encode(), ONE),
    "tabs": ("a.tsv", PLAIN.replace(",", "\t").encode(), ONE),
    "ragged, shorter": ("a.csv", b"key,number,text\na,1,x\nb\n", ANY),
    "ragged, longer": ("a.csv", b"key,number,text\na,1,x\nb,2,y,z,z\n", REFUSED),
    "quotes": ("a.csv", b'key,number,text\n"a",1,"x"\n', ONE),
    "quotes within": (
        "a.csv",
        b'key,number,text\na,1,"say ""x"", y\nz"\n',
        [("a", 1, 'say "x", y\nz')],
    ),
    "an open quote": ("a.csv", b'key,number,text\na,1,"x\nb,2,y\n', REFUSED),
    "NUL": ("a.csv", b"key,number,text\na,1,x\0y\n", ANY),
    "a huge cell": ("a.csv", f"key,number,text\na,1,{'x' * 1_000_000}\n".encode(), ANY),
    "a key twice": ("a.csv", b"key,key,number,text\na,b,1,x\n", REFUSED),
    "a column twice but for case": ("a.csv", b"key,number,NUMBER,text\na,1,2,x\n", REFUSED),
    "no key": ("a.csv", b"number,text\n1,x\n", REFUSED),
    "an empty key": ("a.csv", b"key,number,text\n,1,x\n", REFUSED),
    "a key again": ("a.csv", b"key,number,text\na,1,x\na,2,y\n", ANY),
    "text for a number": ("a.csv", b"key,number,text\na,one,x\n", REFUSED),
    "a fraction for a number": ("a.csv", b"key,number,text\na,1.5,x\n", REFUSED),
    "a number too large": ("a.csv", b"key,number,text\na,9223372036854775808,x\n", REFUSED),
    "spaces about a name": ("a.csv", b" key , number , text \na,1,x\n", ANY),
    "gzip": ("a.csv.gz", gzip.compress(PLAIN.encode()), ONE),
    "no gzip": ("a.csv.gz", b"no gzip at all", REFUSED),
    "half a gzip": ("a.csv.gz", gzip.compress((PLAIN * 500).encode())[:-40], REFUSED),
    "no zstd": ("a.csv.zst", b"no zstd at all", REFUSED),
    "Parquet": ("a.parquet", parquet(pa.table({"key": ["a"], "number": [1], "text": ["x"]})), ONE),
    "empty Parquet": ("a.parquet", b"", REFUSED),
    "no Parquet": ("a.parquet", b"PAR1 no PAR1", REFUSED),
    "half a Parquet": ("a.parquet", parquet(pa.table({"key": ["a"] * 999}))[:-50], REFUSED),
    "Parquet without rows": ("a.parquet", parquet(pa.table({"key": pa.array([], "string")})), []),
    "Parquet without columns": ("a.parquet", parquet(pa.table({})), REFUSED),
    "Parquet, namesakes": (
        "a.parquet",
        parquet(pa.table([["a"], [1], [2]], ["key", "number", "number"])),
        ANY,
    ),
    "Parquet, namesakes but for case": (
        "a.parquet",
        parquet(pa.table([["a"], [1], [2]], ["key", "number", "Number"])),
        ANY,
    ),
    "Parquet, other types": (
        "a.parquet",
        parquet(pa.table({"key": ["a"], "number": ["1"], "text": [b"\xff"]})),
        REFUSED,
    ),
    "Parquet, structs": ("a.parquet", parquet(pa.table({"key": [{"a": 1}]})), REFUSED),
    "JSON lines": ("a.jsonl", b'{"key": "a", "number": 1, "text": "x"}\n', ONE),
    "JSON array": ("a.json", b'[{"key": "a", "number": 1, "text": "x"}]', ONE),
    "empty JSON": ("a.json", b"", REFUSED),
    "JSON without rows": ("a.json", b"[]", ANY),
    "JSON, no objects": ("a.json", b"[1, 2]", REFUSED),
    "JSON, cut off": ("a.json", b'[{"key": "a"}, {"key": ', REFUSED),
    "JSON, nested": ("a.json", b'[{"key": "a", "number": {"deep": [1]}}]', REFUSED),
    "JSON, mixed types": (
        "a.json",
        b'[{"key": "a", "number": 1}, {"key": "b", "number": "x"}]',
        REFUSED,
    ),
    "JSON, names twice": ("a.json", b'[{"key": "a", "key": "b"}]', ANY),
    "JSON, deep": ("a.json", b'{"key":' + b"[" * 5_000 + b"]" * 5_000 + b"}", ANY),
    "JSON, a lone surrogate": ("a.json", b'[{"key": "a", "text": "\\ud800"}]', ANY),
    "no known ending": ("a.dat", PLAIN.encode(), REFUSED),
    "the ending of another format": ("a.parquet", PLAIN.encode(), REFUSED),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_loaded_completely_or_refused(
    engine: bf.Engine, tmp_path: Path, name: str
) -> None:
    file, content, expected = FILES[name]
    (tmp_path / file).write_bytes(content)
    rows = loaded(engine, str(tmp_path / file))
    assert expected is ANY or rows == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("key,number\na,1\n", "key,text\nb,y\n"),
        ("key,number\na,1\n", "number,key\n2,b\n"),
        ("key,number\na,1\n", "key,number\nb,two\n"),
        ("key,number\na,1\n", ""),
        ("key\na\n", "key\na\n"),
    ],
)
def test_files_with_different_columns_are_loaded_completely_or_refused(
    engine: bf.Engine, tmp_path: Path, one: str, other: str
) -> None:
    (tmp_path / "1.csv").write_text(one)
    (tmp_path / "2.csv").write_text(other)
    rows = loaded(engine, str(tmp_path / "*.csv"))
    assert rows is None or len(rows) == len({key for key, *_ in rows})
    assert rows is None or {key for key, *_ in rows} >= {"a"}


def failing(rows: int) -> Iterator[Thing]:
    for number in range(rows):
        yield Thing(str(number))
    raise RuntimeError("the source failed")


def closed_relation() -> Any:
    connection = duckdb.connect()
    relation = connection.sql("SELECT 'a' AS key")
    connection.close()
    return relation


OBJECTS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "a number": lambda: 5,
    "bytes": lambda: b"a.csv",
    "a folder": lambda: "/",
    "no file": lambda: "nowhere-*.parquet",
    "a path with a NUL": lambda: "a\0.csv",
    "a lone surrogate": lambda: "\ud800.csv",
    "SQL that writes": lambda: "DELETE FROM things.runs",
    "two statements": lambda: "SELECT 'a' AS key; SELECT 'b' AS key",
    "SQL that fails midway": lambda: (
        "SELECT key, CASE WHEN key = '9999' THEN error('no')::VARCHAR END AS text "
        "FROM (SELECT range::VARCHAR AS key FROM range(20000))"
    ),
    "broken SQL": lambda: "SELECT FROM WHERE",
    "objects of another class": lambda: [object()],
    "texts": lambda: ["a", "b"],
    "a mapping with another key": lambda: [{"key": "a", "other": 1}],
    "a mapping without a key": lambda: [{"number": 1}],
    "a mapping of numbers": lambda: [{1: 2}],
    "one object of another class": lambda: [Thing("a"), 5],
    "the class": lambda: [Thing],
    "no key": lambda: [Thing(None)],  # type: ignore[arg-type]
    "wrong inside": lambda: [Thing("a"), Thing("b", "two")],  # type: ignore[arg-type]
    "a lone surrogate inside": lambda: [Thing("a", 1, "\ud800")],
    "too large inside": lambda: [Thing("a", 2**63)],
    "fails early": lambda: failing(3),
    "fails late": lambda: failing(30_000),
    "a closed relation": closed_relation,
    "an Arrow array": lambda: pa.array([1]),
    "a table, namesakes": lambda: pa.table([["a"], ["b"]], ["key", "key"]),
    "a table, null keys": lambda: pa.table({"key": pa.array([None], "string")}),
    "a table, other types": lambda: pa.table({"key": ["a"], "number": [[1]]}),
    "a table, no text": lambda: pa.table({"key": pa.array([b"\xff"]).view(pa.string())}),
    "a frame of objects": lambda: pd.DataFrame({"key": ["a"], "number": [object()]}),
    "a frame, numbered": lambda: pd.DataFrame([["a", 1]]),
    "a Polars frame, other types": lambda: pl.DataFrame({"key": ["a"], "number": ["x"]}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_unusable_source_loads_nothing(engine: bf.Engine, name: str) -> None:
    assert loaded(engine, OBJECTS[name]()) is None


def test_objects_that_cannot_be_inspected_are_refused(engine: bf.Engine) -> None:
    for name in HOSTILE:
        if "coroutine" not in name:
            assert loaded(engine, [Thing("a"), HOSTILE[name]()]) is None, name


cells = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
rows = st.lists(st.tuples(numbers, cells), max_size=6)


@examples(14)
@given(rows, st.sampled_from(["parquet", "jsonl", "csv", "table", "pandas", "polars", "objects"]))
def test_valid_rows_are_stored_unchanged(
    tmp_path: Path, rows: list[tuple[int | None, str | None]], form: str
) -> None:
    things = [Thing(f"k{at}", number, text) for at, (number, text) in enumerate(rows)]
    named = [vars(thing) for thing in things]
    schema = pa.schema({"key": pa.string(), "number": pa.int64(), "text": pa.string()})
    table = pa.Table.from_pylist(named, schema)
    path = tmp_path / f"source.{form}"
    source: Any = str(path)
    match form:
        case "parquet":
            pq.write_table(table, path)
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in named), "utf-8")
        case "csv":
            # CSV has no difference between empty text and none, and its writer changes line ends.
            named = [
                row for row in named if (row["text"] or "").isprintable() and row["text"] != ""
            ]
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, ["key", "number", "text"])
                writer.writeheader()
                writer.writerows(named)
        case "table":
            source = table
        case "pandas":
            source = table.to_pandas(types_mapper=pd.ArrowDtype)
        case "polars":
            source = pl.from_arrow(table)
        case "objects":
            source = things
    with opened() as engine:
        found = loaded(engine, source)
        if form == "jsonl" and not named:
            return
        assert found == [tuple(row.values()) for row in named]

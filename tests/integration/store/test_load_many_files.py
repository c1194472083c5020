"""Small files of one shape are read together, and each is loaded as if it were alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader, opened

from batchflow.errors import ConflictError, InvalidRowsError, SourceError
from batchflow.store.loading import load_files

LEDGER = (
    "SELECT load_id, parse_filename(path) AS name, rows, inserted, updated, skipped, rejected, "
    "first_seq, last_seq "
    "FROM batchflow.loads ORDER BY load_id"
)
REJECTED = (
    "SELECT load_id, parse_filename(source) AS name, source_row, foreign_id, reason, record "
    "FROM batchflow.rejected ORDER BY ALL"
)
NUMBERS = [count()]


@dataclass
class Line:
    name: str
    price: float
    batch: int = 9
    note: str | None = None
    number: int = field(default_factory=lambda: next(NUMBERS[0]))


@pytest.fixture
def lines() -> Iterator[Loader]:
    with opened(Line) as loader:
        yield loader


def csv(header: str, *rows: str) -> bytes:
    return ("\n".join((header, *rows)) + "\n").encode()


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def lines_of(*records: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


DRIFT = {
    "csv": {
        "a.csv": csv("name,price", "a1,1.5", "a2,2"),
        "b.csv": csv("name,price"),
        "c.csv": csv("name,price", 'c1,"3"', "", "c2,4"),
        "d.csv": csv("name,price,note", 'd1,5,""', 'd2,6,"two', 'lines"'),
        "e.csv": b"\xef\xbb\xbfname;price\r\ne1;7\r\n",
        "f.csv": csv("price,name", "8,f1"),
        "g.csv.gz": gzip.compress(csv("price,name", "9,g1")),
    },
    "parquet": {
        "a.parquet": parquet(name=["a1"], price=[1.5]),
        "b.parquet": parquet(name=["b1"], price=pa.array([2.5], "float32")),
        "c.parquet": parquet(name=["c1", "c2"], price=pa.array([3, 4], "int64")),
        "d.parquet": parquet(name=pa.array([], "string"), price=pa.array([], "int64")),
        "batch=5/e.parquet": parquet(name=["e1"], price=pa.array([5], "int64")),
        "batch=6/e.parquet": parquet(name=["f1"], price=pa.array([6], "int64")),
        "batch=7/g.parquet": parquet(name=["g1"], price=[6.0], batch=[70]),
    },
    "json": {
        "a.json": lines_of({"name": "a1", "price": 1}, {"name": "a2", "price": 2.5}),
        "b.json": b'[{"name": "b1", "price": 3}, {"name": 7.50, "price": 4}]',
        "d.json": lines_of({"name": "d1", "price": 5, "note": "x", "other": [1]}),
        "e.json": b'{"name": "e1",\n"price": 6}\n{"name": "e2",\n"price": 7}',
    },
}
BAD_ROWS = {
    "a.csv": csv("name,price", "a1,1"),
    "b.csv": csv("name,price", "b1,1", "b2,two", "b3,3"),
    "c.csv": csv("name,price", "c1,1"),
    "d.csv": csv("name,price", "a1,5", "d1,5"),
    "e.csv": csv("name,price", "e1,1"),
}


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def loaded(files: list[Path], **options: Any) -> tuple[Any, ...]:
    """Return all that a load stores and reports; the numbers of the factory count from 0."""
    NUMBERS[0] = count()
    with opened(Line) as lines:
        report = lines.load(files, **options)
        runs = lines.query("SELECT * EXCLUDE (run_id) FROM items.runs ORDER BY seq")
        ledger = lines.query(LEDGER)
        return runs, ledger, lines.query(REJECTED), report


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, ...]]:
    def loaded_alone(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        with monkeypatch.context() as patch:
            patch.setattr(load_files, "_SMALL_BYTES", -1)
            return loaded(*arguments, **options)

    return loaded_alone


@pytest.mark.parametrize("files", DRIFT.values(), ids=DRIFT)
def test_files_are_loaded_as_if_each_were_alone(
    files: dict[str, bytes], tmp_path: Path, alone: Callable[..., tuple[Any, ...]]
) -> None:
    paths = write(tmp_path, files)

    assert loaded(paths) == alone(paths)


@pytest.mark.parametrize("once", [False, True])
def test_files_with_bad_rows_are_loaded_as_if_each_were_alone(
    once: bool, tmp_path: Path, alone: Callable[..., tuple[Any, ...]]
) -> None:
    options = {"on_invalid": "skip", "on_conflict": "skip", "once": once}
    paths = write(tmp_path, BAD_ROWS)

    assert loaded(paths, **options) == alone(paths, **options)


def test_a_bad_row_of_one_file_is_reported_with_the_file_and_its_row(
    lines: Loader, tmp_path: Path
) -> None:
    paths = write(tmp_path, BAD_ROWS)

    with pytest.raises(InvalidRowsError, match=r"b\.csv' has rows .*row 2: 'b2'"):
        lines.load(paths)
    with pytest.raises(ConflictError, match=r"d\.csv' has a foreign id .*'a1'"):
        lines.load([paths[0], *paths[2:]], on_conflict="error")
    assert lines.query(LEDGER) == []


def test_a_file_that_cannot_be_read_is_named(lines: Loader, tmp_path: Path) -> None:
    paths = write(tmp_path, {**BAD_ROWS, "b.csv": csv("name,price", "b1,2,3")})

    with pytest.raises(SourceError, match=r"b\.csv' can't be read: line 2 has 3 cells"):
        lines.load(paths)
    assert lines.column("seq") == []


@pytest.mark.parametrize("empty", [b"[]", b" \n"])
def test_a_json_file_without_records_has_no_rows(
    lines: Loader, tmp_path: Path, empty: bytes
) -> None:
    paths = write(tmp_path, {**DRIFT["json"], "b.json": empty})

    report = lines.load(paths)

    assert report.loaded > 0
    assert len(report.files) == len(paths)
    assert lines.load(write(tmp_path, {"z.jsonl": empty})).loaded == 0


def test_only_files_with_troubled_rows_are_staged(
    lines: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.csv": csv("name,price", f"n{n},{n}") for n in range(20)}
    staged: list[int] = []
    stage_file = load_files._stage_file

    def counted(*arguments: Any) -> Any:
        staged.append(arguments[4])
        return stage_file(*arguments)

    monkeypatch.setattr(load_files, "_stage_file", counted)
    monkeypatch.delattr(load_files, "_load_file")

    report = lines.load(write(tmp_path, {**files, "7.csv": csv("name,price", "n6,1")}), once=True)

    assert staged == [6, 7]
    assert (report.loaded, len(report.files)) == (19, 20)


def test_a_group_of_files_that_is_too_large_in_memory_is_loaded_file_by_file(
    lines: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_files, "_MOST_READ_BYTES", 100)

    assert lines.load(write(tmp_path, DRIFT["parquet"])).loaded == 7
    assert lines.column("seq") == list(range(7))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_compressed_files_are_read(
    compression: str, kind: str, lines: Loader, tmp_path: Path
) -> None:
    plain = {"csv": csv("name,price", "ä,1.5"), "json": lines_of({"name": "ä", "price": 1.5})}
    suffix = {"gzip": "gz", "zstd": "zst"}[compression]
    with pa.output_stream(tmp_path / f"a.{kind}.{suffix}", compression=compression) as stream:
        stream.write(plain[kind])

    lines.load(tmp_path / f"a.{kind}.{suffix}")

    assert lines.query("SELECT name, price FROM items.runs") == [{"name": "ä", "price": 1.5}]


def test_view_types_of_a_parquet_file_are_read(lines: Loader, tmp_path: Path) -> None:
    names = pa.array(["a", "b" * 30], pa.string_view())
    notes = pa.array([None, "x" * 30], pa.large_string())
    content = parquet(name=names, price=[1.0, 2.0], note=notes)

    lines.load(write(tmp_path, {"a.parquet": content}))

    assert lines.column("name") == names.to_pylist()
    assert lines.column("note") == notes.to_pylist()

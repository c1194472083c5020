"""Names and values of a source that look like SQL stay names and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader, opened

from batchflow.errors import SourceError, StoreError

HOSTILE = [
    "x'); DROP TABLE items.runs; --",
    'x" VARCHAR); DROP TABLE items.runs; --',
    "x') UNION SELECT * FROM read_text('/etc/passwd'); --",
    "$now",
    "?",
    "/*",
    "select",
    "ž\u202e🦆",
    "#position",
    "#misfit",
    "#foreign_id",
    "x" * 200,
]


@dataclass
class Part:
    size: int


@dataclass
class Item:
    name: str
    parts: list[Part] = field(default_factory=list)


@pytest.fixture
def loader() -> Iterator[Loader]:
    with opened(Item) as found:
        yield found


def as_parquet(table: pa.Table, folder: Path) -> Any:
    pq.write_table(table, folder / "source.parquet")
    return folder / "source.parquet"


def as_csv(table: pa.Table, folder: Path) -> Any:
    pyarrow.csv.write_csv(table, folder / "source.csv")
    return folder / "source.csv"


def as_json(table: pa.Table, folder: Path) -> Any:
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    (folder / "source.jsonl").write_text(lines, encoding="utf-8")
    return folder / "source.jsonl"


SOURCES: dict[str, Callable[[pa.Table, Path], Any]] = {
    "parquet": as_parquet,
    "csv": as_csv,
    "json": as_json,
    "table": lambda table, _: table,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_column_of_any_name_holds_the_foreign_ids(
    kind: str, loader: Loader, tmp_path: Path
) -> None:
    expected = []
    for number, name in enumerate(HOSTILE):
        keys = [f"{number}k1", f"{number}k2"]
        table = pa.table({"name": ["a", "b"], name: keys})

        assert loader.load(SOURCES[kind](table, tmp_path), foreign_id=name).loaded == 2, name
        expected += keys

    assert loader.column("foreign_id") == expected
    assert loader.column("name") == ["a", "b"] * len(HOSTILE)


@pytest.mark.parametrize("kind", SOURCES)
def test_values_are_kept_as_they_are(kind: str, loader: Loader, tmp_path: Path) -> None:
    loader.load(SOURCES[kind](pa.table({"name": HOSTILE}), tmp_path))

    assert loader.column("name") == HOSTILE
    assert loader.column("foreign_id") == HOSTILE


def test_an_unknown_part_of_any_name_is_refused(loader: Loader, tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE):
        parts = pa.array([[{"size": number, name: "x"}]])
        with pytest.raises(SourceError, match="can't become"):
            loader.load(as_parquet(pa.table({"name": [f"{number}"], "parts": parts}), tmp_path))

    assert loader.column("parts") == []


def test_a_file_of_any_name_is_read(loader: Loader, tmp_path: Path) -> None:
    for name in HOSTILE:
        if "/" not in name:
            source = as_parquet(pa.table({"name": [name]}), tmp_path)
            assert loader.load(source.rename(tmp_path / f"{name}.parquet")).loaded == 1, name


@pytest.mark.parametrize("name", [name for name in HOSTILE if not {"/", "?"} & set(name)])
def test_a_store_may_have_any_name(name: str, tmp_path: Path) -> None:
    with opened(Item, path=tmp_path / f"{name}.duckdb") as loader:
        loader.load([Item("a")])
        assert loader.column("name") == ["a"]


def test_a_store_whose_log_would_be_elsewhere_is_refused(tmp_path: Path) -> None:
    opening = opened(Item, path=tmp_path / "items?.duckdb")

    with pytest.raises(StoreError, match=r"contains '\?'"), opening:
        pass

    assert list(tmp_path.iterdir()) == []

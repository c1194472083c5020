"""A JSON record that lacks a key takes the default of its field; ``null`` is a value."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loading_kit import Stage, opened

from batchflow.errors import InvalidRowsError

MADE: list[int] = []


def _made() -> int:
    MADE.append(len(MADE))
    return MADE[-1]


@dataclass
class Order:
    key: str
    pieces: int = 5
    note: str | None = "none"
    wait: dt.timedelta = dt.timedelta(1)
    stage: Stage = Stage.PAID
    tags: list[str] = field(default_factory=lambda: ["new"])
    number: int = field(default_factory=_made)


@dataclass
class Choice:
    key: str
    taken: int | None


@pytest.fixture(autouse=True)
def _from_zero() -> None:
    MADE.clear()


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


FULL = {"key": "full", "pieces": 1, "note": "a", "wait": "2 days", "stage": "DONE"}


def test_a_record_without_a_key_takes_the_default(tmp_path: Path) -> None:
    full = {**FULL, "tags": [], "number": 100}
    path = lines(tmp_path / "a.jsonl", full, {"key": "bare"}, {"key": "null", "note": None})
    with opened(Order) as loader:
        report = loader.load(path, foreign_id="key")

        assert loader.column("pieces") == [1, 5, 5]
        assert loader.column("note") == ["a", "none", None]
        assert loader.column("epoch_us(wait) // 86_400_000_000") == [2, 1, 1]
        assert loader.column("stage") == ["DONE", "PAID", "PAID"]
        assert loader.column("tags") == [[], ["new"], ["new"]]
        assert loader.column("number") == [100, 0, 1]
    [filled] = report.filled
    assert filled.path == str(path)
    assert filled.columns == ("pieces", "note", "wait", "stage", "tags", "number")
    assert MADE == [0, 1]


def test_numbers_whose_digits_are_kept_do_not_hide_a_missing_key(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"key": "a", "note": 1.5, "pieces": 2}, {"key": "b"})
    with opened(Order) as loader:
        loader.load(path, foreign_id="key")

        assert loader.column("note") == ["1.5", "none"]
        assert loader.column("pieces") == [2, 5]


def test_small_files_that_lack_different_keys_are_filled_one_by_one(tmp_path: Path) -> None:
    first = lines(tmp_path / "1.jsonl", {"key": "a", "pieces": 1}, {"key": "b"})
    second = lines(tmp_path / "2.jsonl", {"key": "c", "pieces": 2}, {"key": "d"})
    third = lines(tmp_path / "3.jsonl", {"key": "e", "number": 50}, {"key": "f"})
    with opened(Order) as loader:
        report = loader.load([first, second, third], foreign_id="key")

        assert loader.column("pieces") == [1, 5, 2, 5, 5, 5]
        assert loader.column("number") == [0, 1, 2, 3, 50, 4]
    assert [len(each.columns) for each in report.filled] == [6, 6, 6]


def test_null_does_not_take_the_default(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"key": "a", "pieces": None}, {"key": "b"})
    with opened(Order) as loader:
        with pytest.raises(InvalidRowsError, match=r"'pieces' .*doesn't fit int \(row 1: 'a'\)"):
            loader.load(path, foreign_id="key")
        loader.load(path, foreign_id="key", on_invalid="skip")

        assert loader.column("foreign_id") == ["b"]


def test_a_key_without_a_default_is_missed_even_if_it_may_be_null(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"key": "a", "taken": None}, {"key": "b"})
    with opened(Choice) as loader:
        with pytest.raises(InvalidRowsError, match=r"'taken' .*\(row 2: 'b'\)"):
            loader.load(path, foreign_id="key")
        with pytest.raises(InvalidRowsError, match=r"'taken' .*\(row 2"):
            loader.load([{"key": "a", "taken": None}, {"key": "b"}], foreign_id="key")


def test_an_update_keeps_the_values_whose_key_a_record_lacks(tmp_path: Path) -> None:
    stored = lines(tmp_path / "a.jsonl", {**FULL, "tags": ["old"], "number": 7})
    path = lines(tmp_path / "b.jsonl", {"key": "full", "note": None}, {"key": "new", "pieces": 3})
    with opened(Order) as loader:
        loader.load(stored, foreign_id="key")

        report = loader.load(path, foreign_id="key", on_conflict="update")

        assert report.updated == 1
        assert loader.column("pieces") == [1, 3]
        assert loader.column("note") == [None, "none"]
        assert loader.column("tags") == [["old"], ["new"]]
        assert loader.column("number") == [7, 0]


def test_a_file_of_lines_with_0_bytes_has_no_records(tmp_path: Path) -> None:
    empty = tmp_path / "a.ndjson"
    empty.touch()
    full = lines(tmp_path / "b.jsonl", {"key": "a"})
    with opened(Order) as loader:
        assert loader.load(empty, foreign_id="key").loaded == 0
        report = loader.load([empty, full], foreign_id="key", again=True)

        assert [file.rows for file in report.files] == [0, 1]

"""Exports of whole tables, with and without a running engine."""

from __future__ import annotations

from csv import reader
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import Command, alone, call, document
from pyarrow import csv, dataset

import batchflow as bf
from kit.things import Stage, finish

ROWS = {"runs": 22, "transitions": 41, "errors": 2}


@alone
@pytest.mark.parametrize("table", ROWS)
def test_a_table_is_written_to_parquet_with_its_types(
    on_own_store: Command, tmp_path: Path, table: str
) -> None:
    outcome = on_own_store("export", table, "out.parquet", "--json")
    assert document(outcome) == {"table": table, "rows": ROWS[table], "path": "out.parquet"}
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.num_rows == ROWS[table]
    assert pa.types.is_dictionary(written.schema.field(3 if table != "errors" else 2).type)


@alone
def test_a_predicate_selects_the_rows_of_an_export(on_own_store: Command, tmp_path: Path) -> None:
    outcome = on_own_store("export", "runs", "out.csv", "--where", "weight > 15")
    assert outcome.stdout == "4 runs written to out.csv.\n"
    written = csv.read_csv(tmp_path / "out.csv")
    assert sorted(written["label"].to_pylist()) == ["16 KG", "17 KG", "18 KG", "19 KG"]
    assert set(written["status"].to_pylist()) == {"SENT"}


def test_a_folder_is_partitioned_by_columns(on_own_store: Command, tmp_path: Path) -> None:
    result = on_own_store("export", "transitions", "moves", "--partition-by", "to_status", "--json")
    assert document(result)["rows"] == 41
    assert {path.name for path in (tmp_path / "moves").iterdir()} == {
        *("to_status=NEW", "to_status=CHECKED", "to_status=REFUSED", "to_status=SENT"),
    }
    read = dataset.dataset(tmp_path / "moves", partitioning="hive")
    assert read.count_rows(filter=dataset.field("to_status") == "SENT") == 19


def test_folders_keep_any_text(tmp_path: Path) -> None:
    texts = ["", "a/b=%", "..", "\n", "é", "a\x00b"]
    notes = bf.Workflow("notes", Note, Stage)
    notes.add_step(Stage.NEW, finish, Stage.DONE)
    with bf.Engine(str(tmp_path / "notes.duckdb"), notes, workers=0) as engine:
        engine.trigger_many(
            [{"key": f"k{n}", "text": text} for n, text in enumerate(texts)], foreign_id="key"
        )
    export = ("export", "runs", "folder", "--partition-by", "text", "--store", "notes.duckdb")
    assert call(tmp_path, *export).returncode == 3
    assert not (tmp_path / "folder").exists()
    texts.pop()
    assert call(tmp_path, *export, "--where", "NOT contains(text, chr(0))").returncode == 0
    with bf.Engine(":memory:", notes, workers=0) as engine:
        engine.trigger_many(str(tmp_path / "folder" / "**" / "*.parquet"))
        found = engine.runs().order("foreign_id").select("text").fetchall()
        assert [text for (text,) in found] == texts


@alone
def test_an_existing_file_is_replaced_only_with_force(
    on_own_store: Command, tmp_path: Path
) -> None:
    for out in ("out.parquet", "out.csv", "folder"):
        assert on_own_store("export", "runs", out).returncode == 0
        before = sorted(tmp_path.rglob("*"))
        refused = on_own_store("export", "errors", out)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--force" in refused.stderr
        assert on_own_store("export", "errors", out, "--force").returncode == 0
        assert sorted(tmp_path.rglob("*")) == before
    assert pq.read_table(tmp_path / "folder").num_rows == 2


def test_force_replaces_only_earlier_exports(
    command: Command, own_parcels: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("dear")
    (tmp_path / "prices.csv").write_text("seq,price\n1,2\n")
    pq.write_table(pa.table({"seq": [1]}), tmp_path / "prices.parquet")
    (tmp_path / "prices").mkdir()
    pq.write_table(pa.table({"seq": [1]}), tmp_path / "prices" / "a.parquet")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    others = ("folder", "prices.csv", "prices.parquet", "prices/", "folder/letter.txt")
    for out in (*others, "parcels.duckdb", "/dev/null", "."):
        outcome = command("export", "runs", out, "--force", "--store", own_parcels)
        assert (outcome.returncode, outcome.stdout) == (2, ""), out
    outcome = command("runs", "--parquet", "prices.parquet", "--store", own_parcels)
    assert outcome.returncode == 2
    assert "isn't a Parquet file that batchflow wrote" in outcome.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_an_export_is_named_by_its_format(on_own_store: Command, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    for out in ("out.xml", "out.csv.gz", "out.2030"):
        outcome = on_own_store("export", "runs", out)
        assert outcome.returncode == 2
        assert "ends in .parquet or .csv, or a folder" in outcome.stderr
    assert set(tmp_path.iterdir()) == before
    assert on_own_store("export", "errors", "out.CSV").returncode == 0
    assert (tmp_path / "out.CSV").is_file()
    assert on_own_store("export", "errors", "out.2030/", "--where", "false").returncode == 0
    [empty] = (tmp_path / "out.2030").iterdir()
    assert pq.read_table(empty).num_rows == 0


@dataclass
class Note:
    text: str
    number: int = -1
    raw: bytes = b"=1"
    tags: list[str] = field(default_factory=lambda: ["=1"])


def test_a_csv_file_for_spreadsheets_has_no_formulas(tmp_path: Path) -> None:
    texts = ["=1+1", " -2", "\t@x", "\uff0b1", "a\x00\x1b[0m", "a-b", "\r=1", "é\n"]
    notes = bf.Workflow("notes", Note, Stage)
    notes.add_step(Stage.NEW, finish, Stage.DONE)
    with bf.Engine(str(tmp_path / "notes.duckdb"), notes, workers=0) as engine:
        engine.trigger_many([Note(text) for text in texts], foreign_id="text")
    export = ("export", "runs", "--store", "notes.duckdb")
    assert call(tmp_path, *export, "out.csv", "--spreadsheet").returncode == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(reader(file))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    shown = ("'=1+1", "' -2", "'\t@x", "'\uff0b1", "a\u2400\u241b[0m", "a-b", "'\r=1", "é\n")
    assert columns["text"] == columns["foreign_id"] == shown
    assert {columns[name][0] for name in ("number", "raw", "tags")} == {"-1", "'=1", '["=1"]'}
    assert call(tmp_path, *export, "out.parquet", "--spreadsheet").returncode == 2


@pytest.mark.parametrize("out", ["out.parquet", "out.csv", "folder"])
def test_a_failed_export_leaves_an_existing_file_as_it_was(
    on_own_store: Command, tmp_path: Path, out: str
) -> None:
    assert on_own_store("export", "runs", out).returncode == 0
    before = sorted(tmp_path.rglob("*"))
    outcome = on_own_store("export", "runs", out, "--force", "--where", "label::INTEGER > 0")
    assert outcome.returncode == 3
    assert "Traceback" not in outcome.stderr
    assert sorted(tmp_path.rglob("*")) == before


@alone
def test_an_unknown_column_is_reported_with_the_existing_ones(on_own_store: Command) -> None:
    outcome = on_own_store("export", "runs", "folder", "--partition-by", "mass")
    assert outcome.returncode == 2
    assert "weight" in outcome.stderr
    assert on_own_store("export", "runs", "out.csv", "--partition-by", "status").returncode == 2
    assert on_own_store("export", "errors", "out.csv", "--where", "mass > 1").returncode == 3

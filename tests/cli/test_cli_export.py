"""Exports of whole tables, with and without a running engine."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import Command, alone, document
from pyarrow import csv, dataset

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
    before = own_parcels.read_bytes()
    for out in ("folder", "parcels.duckdb", "/dev/null", "."):
        outcome = command("export", "runs", out, "--force", "--store", own_parcels)
        assert (outcome.returncode, outcome.stdout) == (2, ""), out
    assert (tmp_path / "folder" / "letter.txt").read_text() == "dear"
    assert own_parcels.read_bytes() == before


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

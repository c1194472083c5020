"""Results as CSV and Parquet, with and without a running engine."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import Command, alone, begin, document, environment
from in_process import call_in_process

READING = [["status"], ["counts"], ["runs"], ["errors"], ["sql", "FROM parcels.transitions"]]


def csv_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@alone
@pytest.mark.parametrize("arguments", READING, ids=lambda words: words[0])
def test_each_query_command_writes_the_same_in_all_formats(
    on_own_store: Command, tmp_path: Path, arguments: list[str]
) -> None:
    expected = document(on_own_store(*arguments, "--json"))
    columns = list(expected[0])

    as_csv = on_own_store(*arguments, "--csv")
    assert (as_csv.returncode, as_csv.stderr) == (0, "")
    assert [list(row) for row in csv_of(as_csv.stdout)] == [columns] * len(expected)

    assert on_own_store(*arguments, "--parquet", "out.parquet").returncode == 0
    assert on_own_store(*arguments, "--parquet", "out.parquet").returncode == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert (table.column_names, table.num_rows) == (columns, len(expected))


def test_csv_has_values_as_in_json_and_distinguishes_null_from_empty_text(
    on_own_store: Command,
) -> None:
    query = (
        "SELECT 1.50::DECIMAL(4, 2) AS exact, [1, NULL] AS nested, DATE '2030-01-31' AS day, "
        "INTERVAL 90 MINUTES AS lasting, 'a\"b,c' AS text, NULL::VARCHAR AS nothing, '' AS empty"
    )
    assert on_own_store("sql", query, "--csv").stdout.splitlines() == [
        '"exact","nested","day","lasting","text","nothing","empty"',
        '"1.50","[1,null]","2030-01-31","01:30:00","a""b,c",,""',
    ]


@alone
def test_csv_without_rows_has_a_header(on_own_store: Command) -> None:
    assert on_own_store("runs", "--where", "false", "--csv").stdout.startswith('"seq","run_id",')


def test_parquet_keeps_types_and_can_be_piped(tmp_path: Path, own_parcels: Path) -> None:
    piped = call_in_process(
        tmp_path, ["runs", "--store", str(own_parcels), "--parquet", "-"], environment()
    )
    assert piped.returncode == 0
    table = pq.read_table(io.BytesIO(piped.stdout))
    assert table.num_rows == 20
    assert table.schema.field("weight").type == pa.int64()
    assert pa.types.is_dictionary(table.schema.field("status").type)


@pytest.mark.parametrize("form", [["--csv"], ["--parquet", "-"]], ids=lambda form: form[0])
def test_a_reader_that_closes_the_pipe_early_ends_the_command_quietly(
    parcels_folder: Path, form: list[str]
) -> None:
    store = ["--store", "parcels.duckdb"]
    process = begin(parcels_folder, "sql", "FROM range(3_000_000)", *form, *store)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.buffer.read(4)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


@pytest.mark.parametrize("form", [["--csv"], ["--parquet", "out.parquet"]])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT status, status FROM parcels.runs", "with AS"),
        ("SELECT label::INTEGER FROM parcels.runs", "failed"),
    ],
)
def test_a_failed_query_or_an_impossible_format_exits_with_3_and_leaves_nothing(
    on_own_store: Command, tmp_path: Path, form: list[str], query: str, expected: str
) -> None:
    before = sorted(tmp_path.iterdir())
    outcome = on_own_store("sql", query, *form)
    assert (outcome.returncode, outcome.stdout) == (3, "")
    assert expected in outcome.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_only_one_format_can_be_chosen(on_shared_store: Command) -> None:
    assert on_shared_store("status", "--json", "--csv").returncode == 2
    assert on_shared_store("status", "--csv", "--parquet", "x.parquet").returncode == 2


def test_parquet_replaces_only_parquet_files(
    on_shared_store: Command, parcels_folder: Path
) -> None:
    before = (parcels_folder / "parcels.duckdb").read_bytes()
    for path in ("parcels.duckdb", "/dev/null", ""):
        outcome = on_shared_store("runs", "--parquet", path)
        assert (outcome.returncode, outcome.stdout) == (2, ""), path
    assert (parcels_folder / "parcels.duckdb").read_bytes() == before
    outcome = on_shared_store("runs", "--parquet", "no/such/folder.parquet")
    assert outcome.returncode == 3
    assert outcome.stderr == (
        "batchflow: 'no/such/folder.parquet' can't be written: No such file or directory. Create "
        "the folder 'no/such', or give another path.\n"
    )

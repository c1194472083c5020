"""Messages and logs contain no values of records without ``--log-values``."""

from __future__ import annotations

from pathlib import Path

from command_line import call, load_parcels, run_parcels

SECRET = "hunter2-of-john@example.org"


def test_the_message_of_a_step_is_printed_only_by_errors(tmp_path: Path) -> None:
    for loaded, options in enumerate(([], ["--verbose"], ["--json"]), 1):
        outcome = load_parcels(tmp_path, [-1] * loaded, *options)
        assert "ValueError" in outcome.stdout, options
        assert "the scale shows" not in outcome.stdout + outcome.stderr, options
    errors = call(tmp_path, "errors", "--store", "parcels.duckdb", "--json")
    assert "the scale shows -1" in errors.stdout


def test_the_message_of_a_step_is_printed_with_log_values(tmp_path: Path) -> None:
    assert "the scale shows -1" in load_parcels(tmp_path, [1, -1], "--log-values").stdout


def test_invalid_rows_are_reported_without_their_values_unless_log_values_is_set(
    tmp_path: Path,
) -> None:
    load_parcels(tmp_path, [1])
    (tmp_path / "wrong.csv").write_text(f"parcel_id,weight\nq1,1\nq2,{SECRET}\n")
    load = ("--load", "wrong.csv", "--foreign-id", "parcel_id")

    outcome = run_parcels(tmp_path, *load)
    assert "(row 2: 'q2')" in outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr

    assert f"row 2: 'q2' has '{SECRET}'" in run_parcels(tmp_path, *load, "--log-values").stderr


def test_the_message_of_a_failed_query_has_no_value(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1])
    query = f"SELECT CAST(label || '{SECRET}' AS INTEGER) FROM parcels.runs"

    outcome = call(tmp_path, "sql", "--store", "parcels.duckdb", query)

    assert outcome.returncode == 3
    assert "can't be converted to INT32" in outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr


def test_passwords_of_urls_are_not_printed(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1])
    for arguments in (
        ("--load", "s3://john:hunter2@bucket/a.csv"),
        ("--load", "a.csv?token=hunter2"),
        ("--store", "s3://john:hunter2@bucket/a.duckdb"),
    ):
        outcome = run_parcels(tmp_path, *arguments)
        assert outcome.returncode != 0, arguments
        assert "***" in outcome.stderr, arguments
        assert "hunter2" not in outcome.stdout + outcome.stderr, arguments

"""What lands in a log or in the mail of cron holds no values, unless that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call, load_parcels, run_parcels

SECRET = "hunter2-of-john@example.org"


@pytest.mark.parametrize("options", [[], ["--verbose"], ["--json"]])
def test_what_a_step_says_is_told_by_errors_alone(options: list[str], tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1, -1], *options)

    assert "ValueError" in outcome.stdout
    assert "the scale says" not in outcome.stdout + outcome.stderr
    errors = call(tmp_path, "errors", "--store", "parcels.duckdb", "--json")
    assert "the scale says -1" in errors.stdout


def test_what_a_step_says_is_told_where_that_is_asked_for(tmp_path: Path) -> None:
    assert "the scale says -1" in load_parcels(tmp_path, [1, -1], "--log-values").stdout


def test_what_does_not_fit_is_told_by_row_and_only_where_that_is_asked_for_by_value(
    tmp_path: Path,
) -> None:
    load_parcels(tmp_path, [1])
    (tmp_path / "wrong.csv").write_text(f"parcel_id,weight\nq1,1\nq2,{SECRET}\n")
    load = ("--load", "wrong.csv", "--foreign-id", "parcel_id")

    outcome = run_parcels(tmp_path, *load)
    assert "(row 2: 'q2')" in outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr

    assert f"row 2: 'q2' has '{SECRET}'" in run_parcels(tmp_path, *load, "--log-values").stderr


def test_a_query_that_fails_on_a_value_does_not_tell_it(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1])
    query = f"SELECT CAST(label || '{SECRET}' AS INTEGER) FROM parcels.runs"

    outcome = call(tmp_path, "sql", "--store", "parcels.duckdb", query)

    assert outcome.returncode == 3
    assert "can't be converted to INT32" in outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr

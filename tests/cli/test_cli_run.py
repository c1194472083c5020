from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from command_line import Command, document, load_parcels, parcels_csv, run_parcels


def test_a_command_that_finishes_all_runs_exits_with_0(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1, 2, 0])
    assert outcome.returncode == 0
    assert "SENT" in outcome.stdout
    assert "3 runs loaded" in outcome.stderr


def test_prints_of_workers_and_modules_are_kept_out_of_the_json(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1, 2, 3], "--workers", 1, "--json")
    # Workers import the file under its own name.
    assert outcome.returncode == 0, outcome.stderr
    result = document(outcome)
    assert result["load"]["loaded"] == 3
    assert result["report"]["runs"] == 6
    assert [(entry["status"], entry["runs"]) for entry in result["report"]["statuses"]] == [
        ("SENT", 3)
    ]
    assert "imported" in outcome.stderr
    assert "checked" in outcome.stderr


def test_a_run_waiting_for_a_retry_makes_the_exit_code_1(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1, -1], "--json")
    assert outcome.returncode == 1
    assert document(outcome)["report"]["waiting_for_retry"] == 1


def test_a_paused_run_makes_the_exit_code_1_only_for_the_command_that_paused_it(
    tmp_path: Path,
) -> None:
    paused = load_parcels(tmp_path, [1, -2], "--json")
    assert paused.returncode == 1
    assert document(paused)["report"]["newly_paused"] == 1
    again = run_parcels(tmp_path, "--json")
    assert again.returncode == 0
    report = document(again)["report"]
    assert (report["newly_paused"], report["paused_before"], report["runs"]) == (0, 1, 0)


def test_a_repeated_load_skips_rows_with_unfinished_runs(tmp_path: Path) -> None:
    load_parcels(tmp_path, [-2, -2])
    again = load_parcels(tmp_path, [-2, -2, -2], "--json")
    assert document(again)["load"]["loaded"] == 1
    assert document(again)["load"]["skipped_conflicts"] == 2


def test_a_limit_leaves_other_runs_unchanged(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [0] * 5, "--limit", 2, "--json")
    assert outcome.returncode == 4
    report = document(outcome)["report"]
    assert (report["runs"], report["left"], report["ended_by"]) == (2, 3, "limit")
    # One that is just enough.
    assert run_parcels(tmp_path, "--limit", 3).returncode == 0


def test_a_date_in_the_past_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1], "--until", "2020-01-01T00:00", "--json")
    assert outcome.returncode == 2
    assert "'2020-01-01T00:00' is in the past. Give a time in the future." in outcome.stderr
    assert not (tmp_path / "parcels.duckdb").exists()


def test_the_time_to_stop_is_logged_with_its_day(tmp_path: Path) -> None:
    before = datetime.now().astimezone() - timedelta(minutes=2)
    outcome = load_parcels(tmp_path, [1], "--until", f"{before:%H:%M}")
    day = "tomorrow" if before.date() == datetime.now().astimezone().date() else "today"
    assert f"Steps are executed until {day} {before:%H:%M}." in outcome.stderr


def test_runs_can_be_loaded_at_another_status(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [7], "--at", "CHECKED", "--json")
    assert document(outcome)["load"]["status"] == "CHECKED"
    assert document(outcome)["report"]["runs"] == 1


def test_with_quiet_only_user_code_writes_to_stderr(tmp_path: Path) -> None:
    outcome = load_parcels(tmp_path, [1], "--quiet")
    assert set(outcome.stderr.split()) == {"imported", "checked"}


def test_verbose_logs_each_commit(tmp_path: Path) -> None:
    assert "committed" in load_parcels(tmp_path, [1], "--verbose").stderr
    assert "committed" not in load_parcels(tmp_path, [1]).stderr


def test_a_missing_source_exits_with_3_and_one_message(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1])
    outcome = run_parcels(tmp_path, "--load", "nothing.csv", "--foreign-id", "parcel_id")
    assert outcome.returncode == 3
    assert "nothing.csv" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_invalid_rows_are_an_error_or_skipped_as_chosen(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1])
    with (tmp_path / "parcels.csv").open("a") as file:
        file.write("heavy,very\n")
    how = ["--load", "parcels.csv", "--foreign-id", "parcel_id"]
    refused = run_parcels(tmp_path, *how)
    assert refused.returncode == 3
    assert "weight" in refused.stderr
    skipped = run_parcels(tmp_path, *how, "--on-invalid", "skip", "--json")
    assert document(skipped)["load"]["skipped_invalid"] == 1


def test_a_file_that_is_no_store_exits_with_3(tmp_path: Path, command: Command) -> None:
    parcels_csv(tmp_path, [1])
    outcome = command("status", "--store", "parcels.csv")
    assert outcome.returncode == 3
    assert "not a batchflow store" in outcome.stderr


def test_a_failed_load_executes_nothing_and_is_a_json_document(tmp_path: Path) -> None:
    load_parcels(tmp_path, [1], "--limit", 1)
    (tmp_path / "empty.csv").touch()

    failed = run_parcels(tmp_path, "--load", "empty.csv", "--foreign-id", "parcel_id", "--json")

    assert failed.returncode == 3
    result = document(failed)
    assert (result["load"], result["report"]) == (None, None)
    assert result["error"].startswith("The file 'empty.csv' is empty: it has 0 bytes.")
    assert document(run_parcels(tmp_path, "--json"))["report"]["runs"] == 1

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import UUID

from command_line import Command, begin, document


def test_status_counts_by_status_and_run_state(ask: Command) -> None:
    outcome = ask("status", "--json")
    assert outcome.returncode == 0
    counted = {(row["status"], row["run_state"]): row["runs"] for row in document(outcome)}
    assert counted == {
        ("NEW", "RUNNING"): 1,
        ("NEW", "PAUSED"): 1,
        ("REFUSED", "COMPLETED"): 1,
        ("SENT", "COMPLETED"): 19,
    }


def test_status_is_a_table_with_plain_headings(ask: Command) -> None:
    outcome = ask("status")
    assert "REFUSED" in outcome.stdout
    assert "ENUM" not in outcome.stdout.upper().replace("NUMBER", "")


def test_errors_are_told_by_fingerprint(ask: Command) -> None:
    told = document(ask("errors", "--json"))
    assert {(row["type"], row["count"], tuple(row["steps"])) for row in told} == {
        ("ValueError", 1, ("check",)),
        ("ZeroDivisionError", 1, ("check",)),
    }
    assert told[0]["workflow"] == "parcels"


def test_runs_are_chosen_by_a_predicate(ask: Command) -> None:
    rows = document(ask("runs", "--where", "weight > 15", "--json"))
    assert sorted(row["label"] for row in rows) == ["16 KG", "17 KG", "18 KG", "19 KG"]
    assert len(document(ask("runs", "--limit", 5, "--json"))) == 5


def test_a_wrong_predicate_names_the_columns(ask: Command) -> None:
    outcome = ask("runs", "--where", "mass > 1")
    assert outcome.returncode == 3
    assert "weight" in outcome.stderr


def test_one_run_is_shown_with_its_transitions(ask: Command) -> None:
    row = document(ask("runs", "--where", "weight = 7", "--json"))[0]
    told = document(ask("show", row["run_id"], "--json"))
    assert told["run"] == row
    assert [each["to_status"] for each in told["history"]] == ["CHECKED", "SENT"]
    assert "7 KG" in ask("show", row["run_id"]).stdout


def test_a_run_id_of_nobody_exits_with_3(ask: Command) -> None:
    outcome = ask("show", UUID(int=7))
    assert outcome.returncode == 3
    assert "no run" in outcome.stderr


def test_sql_answers_any_question_that_reads(ask: Command) -> None:
    outcome = ask("sql", "SELECT sum(weight) AS total FROM parcels.runs", "--json")
    assert document(outcome) == [{"total": 187}]


def test_every_type_becomes_json(ask: Command) -> None:
    query = """
        SELECT 'nan'::DOUBLE AS nothing, 1.50::DECIMAL(4, 2) AS exact, DATE '2030-01-31' AS day,
               INTERVAL 90 MINUTES AS lasting, 'ab'::BLOB AS raw, MAP {1: 'one'} AS named,
               {'x': [1, NULL]} AS nested, TIMESTAMPTZ '2030-01-31 06:00:00+00' AS moment
    """
    assert document(ask("sql", query, "--json")) == [
        {
            "nothing": None,
            "exact": 1.5,
            "day": "2030-01-31",
            "lasting": "01:30:00",
            "raw": "ab",
            "named": {"1": "one"},
            "nested": {"x": [1, None]},
            "moment": "2030-01-31 06:00:00+00",
        }
    ]


def test_columns_of_one_name_make_a_table_but_no_json(ask: Command) -> None:
    query = "SELECT status, status FROM parcels.runs LIMIT 1"
    assert ask("sql", query).returncode == 0
    outcome = ask("sql", query, "--json")
    assert outcome.returncode == 3
    assert "with AS" in outcome.stderr


def test_no_rows_are_an_empty_document(ask: Command) -> None:
    assert document(ask("sql", "SELECT 1 WHERE false", "--json")) == []


def test_a_query_that_writes_is_refused(ask: Command) -> None:
    outcome = ask("sql", "DELETE FROM parcels.runs")
    assert outcome.returncode == 3
    assert "reads" in outcome.stderr


def test_a_query_that_fails_while_it_is_executed_exits_with_3(ask: Command) -> None:
    outcome = ask("sql", "SELECT label::INTEGER FROM parcels.runs")
    assert outcome.returncode == 3
    assert "Traceback" not in outcome.stderr


def test_reading_leaves_the_folder_as_it_was(parcels_folder: Path, ask: Command) -> None:
    before = {path.name: path.read_bytes() for path in parcels_folder.glob("parcels.duckdb*")}
    ask("status")
    after = {path.name: path.read_bytes() for path in parcels_folder.glob("parcels.duckdb*")}
    assert after == before


def test_a_reader_who_has_had_enough_ends_it_quietly(parcels_folder: Path) -> None:
    process = begin(
        parcels_folder, "sql", "FROM range(200_000)", "--json", "--store", "parcels.duckdb"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "[\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


def test_runs_are_held_and_let_go_by_the_set(tmp_path: Path, command: Command) -> None:
    from command_line import load_parcels

    load_parcels(tmp_path, [1, -2, -2, -1])
    store = ["--store", "parcels.duckdb", "--json"]
    who = ["parcel_pipeline.py:parcels", "--where", "weight = -2 OR weight = 1"]
    foreseen = document(command("resume", *who, *store, "--dry-run"))
    assert foreseen == {"operation": "resume", "dry_run": True, "changed": 2, "refused": 1}
    assert document(command("resume", *who, *store)) == {**foreseen, "dry_run": False}
    assert document(command("resume", *who, *store))["changed"] == 0
    ids = [row["run_id"] for row in document(command("runs", *store, "--where", "weight < 0"))]
    chosen = [part for run_id in ids for part in ("--run-id", run_id)]
    cancelled = command("cancel", "parcel_pipeline.py:parcels", *chosen, "--reason", "lost", *store)
    assert document(cancelled)["changed"] == 3
    rows = document(command("runs", *store, "--where", "run_state = 'CANCELLED'"))
    assert {row["reason"] for row in rows} == {"lost"}


def test_holding_needs_to_be_told_which_runs(parcels_folder: Path, ask: Command) -> None:
    outcome = ask("pause", "parcel_pipeline.py:parcels")
    assert outcome.returncode == 2
    assert "--where" in outcome.stderr


def test_two_readers_may_look_at_once(parcels_folder: Path) -> None:
    asking = [
        begin(parcels_folder, "status", "--store", "parcels.duckdb", "--json") for _ in range(2)
    ]
    assert [_ended(process) for process in asking] == [0, 0]


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate()
    return process.returncode

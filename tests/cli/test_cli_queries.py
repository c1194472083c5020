from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import UUID

import duckdb
from command_line import Command, begin, document


def test_status_counts_by_status_and_run_state(on_shared_store: Command) -> None:
    outcome = on_shared_store("status", "--json")
    assert outcome.returncode == 0
    counted = {(row["status"], row["run_state"]): row["runs"] for row in document(outcome)}
    assert counted == {
        ("NEW", "RUNNING"): 1,
        ("NEW", "PAUSED"): 1,
        ("REFUSED", "COMPLETED"): 1,
        ("SENT", "COMPLETED"): 19,
    }


def test_status_prints_a_table_without_column_types(on_shared_store: Command) -> None:
    outcome = on_shared_store("status")
    assert "REFUSED" in outcome.stdout
    assert "ENUM" not in outcome.stdout.upper().replace("NUMBER", "")


def test_errors_are_grouped_by_cause(on_shared_store: Command) -> None:
    result = document(on_shared_store("errors", "--json"))
    assert {(row["type"], row["count"], tuple(row["steps"])) for row in result} == {
        ("ValueError", 1, ("check",)),
        ("ZeroDivisionError", 1, ("check",)),
    }
    assert result[0]["workflow"] == "parcels"
    assert all(row["description"].startswith(f"{row['type']} in check, ") for row in result)


def test_the_runs_and_failures_of_a_cause_are_listed(on_shared_store: Command) -> None:
    cause = document(on_shared_store("errors", "--where", "weight <= 0", "--json"))[0]
    [each] = document(on_shared_store("errors", cause["cause"], "--all", "--json"))
    assert (each["message"], each["run_id"]) == (cause["message"], cause["run_id"])
    [run] = document(on_shared_store("errors", cause["cause"], "--runs", "--json"))
    assert run["run_id"] == cause["run_id"]
    by_label = on_shared_store("errors", "--by", "label", "--since", "1h").stdout
    assert f"label = {run['label']}" in by_label


def test_a_test_is_written_that_fails_as_a_run_did(
    on_shared_store: Command, tmp_path: Path
) -> None:
    [row] = document(on_shared_store("errors", "--where", "weight = -1", "--json"))
    where = ["parcel_pipeline.py:parcels", row["run_id"], "--folder", tmp_path]
    written = document(on_shared_store("repro", *where, "--values", "--json"))
    text = Path(written["test"]).read_text()
    assert "weight=-1," in text
    assert "from parcel_pipeline import parcels" in text
    assert on_shared_store("repro", *where).returncode == 3
    costs = document(on_shared_store("costs", "--json"))
    assert {each["step"] for each in costs} >= {"check"}


def test_runs_are_selected_by_a_predicate(on_shared_store: Command) -> None:
    rows = document(on_shared_store("runs", "--where", "weight > 15", "--json"))
    assert sorted(row["label"] for row in rows) == ["16 KG", "17 KG", "18 KG", "19 KG"]
    assert len(document(on_shared_store("runs", "--limit", 5, "--json"))) == 5


def test_an_invalid_predicate_is_reported_with_the_columns(on_shared_store: Command) -> None:
    outcome = on_shared_store("runs", "--where", "mass > 1")
    assert outcome.returncode == 3
    assert "weight" in outcome.stderr


def test_one_run_is_shown_with_its_transitions(on_shared_store: Command) -> None:
    row = document(on_shared_store("runs", "--where", "weight = 7", "--json"))[0]
    result = document(on_shared_store("show", row["run_id"], "--json"))
    assert result["run"] == row
    assert [each["to_status"] for each in result["history"]] == ["CHECKED", "SENT"]
    assert "7 KG" in on_shared_store("show", row["run_id"]).stdout


def test_an_unknown_run_id_exits_with_3(on_shared_store: Command) -> None:
    outcome = on_shared_store("show", UUID(int=7))
    assert outcome.returncode == 3
    assert "no run" in outcome.stderr


def test_sql_executes_a_select(on_shared_store: Command) -> None:
    outcome = on_shared_store("sql", "SELECT sum(weight) AS total FROM parcels.runs", "--json")
    assert document(outcome) == [{"total": 187}]


def test_every_type_becomes_json(on_shared_store: Command) -> None:
    query = """
        SELECT 'nan'::DOUBLE AS nothing, 1.50::DECIMAL(4, 2) AS exact, -0.5::DECIMAL(1, 1) AS part,
               DATE '2030-01-31' AS day,
               INTERVAL 90 MINUTES AS lasting, 'ab'::BLOB AS raw, MAP {1: 'one'} AS named,
               {'x': [1, NULL]} AS nested, TIMESTAMPTZ '2030-01-31 06:00:00+00' AS moment
    """
    assert document(on_shared_store("sql", query, "--json")) == [
        {
            "nothing": "NaN",
            "exact": 1.5,
            "part": -0.5,
            "day": "2030-01-31",
            "lasting": "01:30:00",
            "raw": "ab",
            "named": {"1": "one"},
            "nested": {"x": [1, None]},
            "moment": "2030-01-31 06:00:00+00",
        }
    ]


def test_numbers_keep_their_digits_in_json(on_shared_store: Command) -> None:
    query = (
        "SELECT 12345678901234567.80::DECIMAL(19, 2) AS a, [1.50] AS b, MAP {'x': 2.00} AS c, "
        "{'y': -0.50::DECIMAL(2, 2)} AS d, '-inf'::DOUBLE AS e, 0.1::DOUBLE AS f"
    )
    assert on_shared_store("sql", query, "--json").stdout == (
        '[\n{"a":12345678901234567.80,"b":[1.50],"c":{"x":2.00},"d":{"y":-0.50},"e":"-Infinity",'
        '"f":0.1}\n]\n'
    )


def test_columns_with_the_same_name_are_allowed_in_a_table_but_not_in_json(
    on_shared_store: Command,
) -> None:
    query = "SELECT status, status FROM parcels.runs LIMIT 1"
    assert on_shared_store("sql", query).returncode == 0
    outcome = on_shared_store("sql", query, "--json")
    assert outcome.returncode == 3
    assert "with AS" in outcome.stderr


def test_without_rows_the_document_is_an_empty_array(on_shared_store: Command) -> None:
    assert document(on_shared_store("sql", "SELECT 1 WHERE false", "--json")) == []


def test_a_query_that_writes_is_refused(on_shared_store: Command) -> None:
    outcome = on_shared_store("sql", "DELETE FROM parcels.runs")
    assert outcome.returncode == 3
    assert "reads" in outcome.stderr


def test_a_query_that_fails_while_it_is_executed_exits_with_3(on_shared_store: Command) -> None:
    outcome = on_shared_store("sql", "SELECT label::INTEGER FROM parcels.runs")
    assert outcome.returncode == 3
    assert "Traceback" not in outcome.stderr


def test_a_query_changes_no_file(parcels_folder: Path, on_shared_store: Command) -> None:
    before = {path.name: path.read_bytes() for path in parcels_folder.glob("parcels.duckdb*")}
    on_shared_store("status")
    after = {path.name: path.read_bytes() for path in parcels_folder.glob("parcels.duckdb*")}
    assert after == before


def test_a_reader_that_closes_the_pipe_early_ends_the_command_quietly(parcels_folder: Path) -> None:
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


def test_runs_are_controlled_in_bulk_by_predicate_and_by_ids(
    tmp_path: Path, command: Command
) -> None:
    from command_line import load_parcels

    load_parcels(tmp_path, [1, -2, -2, -1])
    store = ["--store", "parcels.duckdb", "--json"]
    chosen = ["parcel_pipeline.py:parcels", "--where", "weight = -2 OR weight = 1"]
    planned = document(command("resume", *chosen, *store, "--dry-run"))
    assert planned.pop("refusals") == {"COMPLETED": 1}
    assert planned == {"operation": "resume", "dry_run": True, "changed": 2, "refused": 1}
    resumed = document(command("resume", *chosen, *store))
    assert resumed == {**planned, "dry_run": False, "refusals": {"COMPLETED": 1}}
    assert document(command("resume", *chosen, *store))["changed"] == 0
    ids = [row["run_id"] for row in document(command("runs", *store, "--where", "weight < 0"))]
    chosen = [part for run_id in ids for part in ("--run-id", run_id)]
    cancelled = command("cancel", "parcel_pipeline.py:parcels", *chosen, "--reason", "lost", *store)
    assert document(cancelled)["changed"] == 3
    rows = document(command("runs", *store, "--where", "run_state = 'CANCELLED'"))
    assert {row["reason"] for row in rows} == {"lost"}


def test_controlling_runs_needs_a_predicate_or_ids(
    parcels_folder: Path, on_shared_store: Command
) -> None:
    outcome = on_shared_store("pause", "parcel_pipeline.py:parcels")
    assert outcome.returncode == 2
    assert "--where" in outcome.stderr


def test_two_processes_can_query_at_once(parcels_folder: Path) -> None:
    asking = [
        begin(parcels_folder, "status", "--store", "parcels.duckdb", "--json") for _ in range(2)
    ]
    assert [_ended(process) for process in asking] == [0, 0]


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate()
    return process.returncode


def test_the_past_is_shown_without_code(on_shared_store: Command) -> None:
    now, never = (on_shared_store("counts", "--json", *given) for given in ((), ("--as-of", "52w")))
    assert document(on_shared_store("counts", "--json", "--as-of", "0m")) == document(now)
    assert document(never) == []
    moved = document(on_shared_store("diff", "--since", "2020-01-01", "--json"))
    assert sum(row["runs"] for row in moved) == sum(row["runs"] for row in document(now))
    assert {row["from_status"] for row in moved} == {None}
    then = document(on_shared_store("runs", "--as-of", "2020-01-01T06:00", "--json"))
    assert then == []
    for question in ("durations", "transitions", "funnel", "throughput"):
        whole = document(on_shared_store(question, "--json"))
        assert document(on_shared_store(question, "--json", "--since", "52w")) == whole
        empty = document(on_shared_store(question, "--json", "--until", "2020-01-01"))
        assert question == "funnel" or empty == []
    assert on_shared_store("diff").returncode == 2


def test_a_store_is_checked_and_needs_no_repair(command: Command, own_parcels: Path) -> None:
    store = ["--store", own_parcels, "--json"]
    checked = document(command("check", *store))
    assert (checked["ok"], checked["problems"]) == (True, [])
    assert document(command("repair", *store))["lost_bytes"] == 0
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{own_parcels}' AS store")
        connection.execute("DELETE FROM store.parcels.errors")
    found = command("check", "--store", own_parcels)
    assert found.returncode == 3
    assert found.stdout.startswith("1 problem:\nparcels: 2 failures without their error")

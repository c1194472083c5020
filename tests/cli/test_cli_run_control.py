"""Pausing, resuming and cancelling without a definition, with and without a running engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import duckdb
import pytest
from command_line import PARCELS, Command, alone, document

import batchflow as bf
from kit.things import things

SECOND = """
letters = bf.Workflow("letters", Parcel, ParcelStatus)
letters.add_step(ParcelStatus.NEW, check, ParcelStatus.CHECKED, ParcelStatus.REFUSED)
"""
PAUSED = "run_state = 'PAUSED'"


def states_and_reasons(on_own_store: Command, where: str) -> list[tuple[str, str]]:
    rows = document(on_own_store("runs", "--where", where, "--json", "--limit", 1000))
    return [(row["run_state"], row["reason"]) for row in rows]


def test_runs_are_paused_resumed_and_cancelled_without_their_code(on_own_store: Command) -> None:
    chosen = ["--where", "weight < 0", "--json"]
    result = document(on_own_store("pause", *chosen, "--reason", "the scale is broken"))
    assert result == {
        "operation": "pause",
        "dry_run": False,
        "changed": 1,
        "refused": 1,
        "refusals": {"PAUSED": 1},
    }
    assert sorted(states_and_reasons(on_own_store, "weight = -1")) == [
        ("PAUSED", "the scale is broken")
    ]

    assert document(on_own_store("resume", *chosen))["changed"] == 2
    assert states_and_reasons(on_own_store, "weight < 0") == [("RUNNING", None)] * 2

    assert on_own_store("cancel", "--where", "weight < 0").stdout == ("2 runs cancelled.\n")
    assert (
        states_and_reasons(on_own_store, "weight < 0") == [("CANCELLED", "cancelled by hand")] * 2
    )


def test_a_retry_without_a_choice_of_runs_names_all_ways_to_choose(
    tmp_path: Path, on_shared_store: Command
) -> None:
    assert "Choose runs with --cause, --where or --run-id" in on_shared_store("retry").stderr
    with bf.Engine(tmp_path / "s.duckdb", things(), workers=0) as engine:
        with pytest.raises(bf.InvalidOptionError, match="with where=, cause= or run_ids="):
            engine.retry()
        with pytest.raises(bf.RunNotFoundError, match="neither a run id, nor a foreign id, nor a "):
            engine.repro("nope", tmp_path)


def test_finished_runs_are_retried_without_their_code(on_own_store: Command) -> None:
    finished = ["--where", "status = 'SENT' AND weight < 3"]
    planned = document(on_own_store("retry", *finished, "--at", "NEW", "--dry-run", "--json"))
    changed = planned.pop("changed")
    assert changed > 0
    assert planned == {"operation": "retry", "dry_run": True, "refused": 0, "refusals": {}}
    given = ["--at", "NEW", "--reason", "a better scale"]
    assert on_own_store("retry", *finished, *given).stdout == (f"{changed} runs retried.\n")
    again = on_own_store("retry", "--where", "status = 'NEW' AND weight BETWEEN 1 AND 2")
    assert again.stdout == (f"0 runs retried, {changed} runs refused ({changed} in progress).\n")
    nowhere = on_own_store("retry", *finished, "--at", "SENT")
    assert nowhere.returncode == 3
    assert "no step at SENT" in nowhere.stderr


def test_each_operation_is_recorded_as_a_transition(on_own_store: Command) -> None:
    [row] = document(on_own_store("runs", "--where", "weight = -1", "--json"))
    on_own_store("pause", "--run-id", row["run_id"])
    on_own_store("resume", "--run-id", row["run_id"], "--workflow", "parcels")
    history = document(on_own_store("show", row["run_id"], "--json"))["history"]
    assert [each["outcome"] for each in history][-2:] == ["paused", "resumed"]


def test_a_dry_run_changes_nothing(on_own_store: Command) -> None:
    planned = document(on_own_store("cancel", "--where", "true", "--dry-run", "--json"))
    assert (planned["changed"], planned["refused"]) == (2, 20)
    assert len(states_and_reasons(on_own_store, PAUSED)) == 1


def test_an_unknown_workflow_predicate_or_run_exits_with_3(on_own_store: Command) -> None:
    unknown = "00000000-0000-0000-0000-000000000007"
    for arguments, expected in [
        (["--workflow", "letters", "--where", "true"], "parcels"),
        (["--where", "mass > 1"], "weight"),
        (["--workflow", "parcels", "--run-id", unknown], unknown),
        (["--run-id", unknown], unknown),
    ]:
        outcome = on_own_store("pause", *arguments)
        assert (outcome.returncode, outcome.stdout) == (3, "")
        assert expected in outcome.stderr


def test_a_target_and_a_workflow_name_exclude_each_other(
    parcels_folder: Path, on_shared_store: Command
) -> None:
    given = ["parcel_pipeline.py:parcels", "--workflow", "parcels", "--where", "true"]
    assert on_shared_store("pause", *given).returncode == 2


def test_one_of_several_workflows_must_be_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "two_pipeline.py").write_text(f"{PARCELS}{SECOND}")
    store = ["--store", "two.duckdb"]
    made = command("run", "two_pipeline.py:parcels,letters", *store, "--workers", 0)
    assert made.returncode == 0, made.stderr

    outcome = command("pause", "--where", "true", *store)

    assert outcome.returncode == 2
    assert "letters, parcels" in outcome.stderr
    assert command("pause", "--where", "true", "--workflow", "letters", *store).returncode == 0
    assert command("runs", *store).returncode == 2
    assert command("prune", "--finished-before", "0m", "--where", "true", *store).returncode == 2


def test_without_a_log_of_transitions_none_is_written(command: Command, own_parcels: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{own_parcels}' AS store")
        connection.execute("DROP VIEW store.parcels.transitions")
        for table in ("transitions_without_reason", "transitions_with_reason"):
            connection.execute(f"DROP TABLE store.parcels.{table}")
    outcome = command("pause", "--store", own_parcels, "--where", "weight = -1", "--json")
    assert document(outcome)["changed"] == 1


def test_a_running_drain_leaves_cancelled_runs_unchanged(
    tmp_path: Path, command: Command, guests_at_gate: subprocess.Popen[str]
) -> None:
    store = ["--store", "guests.duckdb", "--json"]
    assert document(command("cancel", "--where", "name <> 'guest 0'", *store))["changed"] == 299
    (tmp_path / "go").touch()
    again = json.loads(command("pause", "--where", "true", "--dry-run", *store).stdout)
    assert again["refused"] >= 299


def test_fields_are_edited_with_sql_and_the_finished_runs_too(on_own_store: Command) -> None:
    changes = ["--set", "label='edited ' || weight", "--set", "weight=weight + 1000"]
    outcome = on_own_store("edit", "--where", "weight < 0", *changes, "--reason", "typo")
    assert outcome.stdout == "2 runs edited.\n"
    [row] = document(on_own_store("runs", "--where", "label = 'edited -1'", "--json"))
    assert row["weight"] == 999
    history = document(on_own_store("show", row["run_id"], "--json"))["history"]
    assert [(each["outcome"], each["reason"]) for each in history][-1] == ("edited", "typo")


def test_an_edit_without_a_field_or_of_an_unknown_one_is_refused(on_own_store: Command) -> None:
    assert on_own_store("edit", "--where", "true").returncode == 2
    assert "FIELD=SQL" in on_own_store("edit", "--where", "true", "--set", "weight").stderr
    outcome = on_own_store("edit", "--where", "true", "--set", "mass=1")
    assert (outcome.returncode, "label" in outcome.stderr) == (3, True)


@alone
def test_a_field_given_twice_and_a_foreign_id_as_run_id_are_refused(on_own_store: Command) -> None:
    edited = on_own_store("edit", "--where", "true", "--set", "weight=5", "--set", " weight=6")
    paused = on_own_store("pause", "--run-id", "p'1")

    assert (edited.returncode, paused.returncode) == (2, 2)
    assert "--set names the field 'weight' twice. Give each field once." in edited.stderr
    assert "choose the run with --where \"foreign_id = 'p''1'\"" in " ".join(paused.stderr.split())

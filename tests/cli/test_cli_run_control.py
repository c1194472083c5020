"""Pausing, resuming and cancelling without a definition, by the engine at work or without one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import duckdb
from command_line import PARCELS, Command, document

SECOND = """
letters = bf.Workflow("letters", Parcel, ParcelStatus)
letters.add_step(ParcelStatus.NEW, check, ParcelStatus.CHECKED, ParcelStatus.REFUSED)
"""
PAUSED = "run_state = 'PAUSED'"


def standing(tell: Command, where: str) -> list[tuple[str, str]]:
    rows = document(tell("runs", "--where", where, "--json", "--limit", 1000))
    return [(row["run_state"], row["reason"]) for row in rows]


def test_runs_are_paused_let_go_and_cancelled_without_their_pipeline(tell: Command) -> None:
    chosen = ["--where", "weight < 0", "--json"]
    told = document(tell("pause", *chosen, "--reason", "the scale is broken"))
    assert told == {"operation": "pause", "dry_run": False, "changed": 1, "refused": 1}
    assert sorted(standing(tell, "weight = -1")) == [("PAUSED", "the scale is broken")]

    assert document(tell("resume", *chosen))["changed"] == 2
    assert standing(tell, "weight < 0") == [("RUNNING", None)] * 2

    assert tell("cancel", "--where", "weight < 0").stdout == ("2 runs cancelled, 0 runs refused.\n")
    assert standing(tell, "weight < 0") == [("CANCELLED", "cancelled by hand")] * 2


def test_each_is_recorded_as_a_transition(tell: Command) -> None:
    [row] = document(tell("runs", "--where", "weight = -1", "--json"))
    tell("pause", "--run-id", row["run_id"])
    tell("resume", "--run-id", row["run_id"], "--workflow", "parcels")
    history = document(tell("show", row["run_id"], "--json"))["history"]
    assert [each["outcome"] for each in history][-2:] == ["paused", "resumed"]


def test_a_dry_run_changes_nothing(tell: Command) -> None:
    foreseen = document(tell("cancel", "--where", "true", "--dry-run", "--json"))
    assert (foreseen["changed"], foreseen["refused"]) == (2, 20)
    assert len(standing(tell, PAUSED)) == 1


def test_an_unknown_workflow_predicate_or_run_exits_with_3(tell: Command) -> None:
    nobody = "00000000-0000-0000-0000-000000000007"
    for arguments, said in [
        (["--workflow", "letters", "--where", "true"], "parcels"),
        (["--where", "mass > 1"], "weight"),
        (["--workflow", "parcels", "--run-id", nobody], nobody),
        (["--run-id", nobody], nobody),
    ]:
        outcome = tell("pause", *arguments)
        assert (outcome.returncode, outcome.stdout) == (3, "")
        assert said in outcome.stderr


def test_a_file_and_a_name_are_one_too_many(parcels_folder: Path, ask: Command) -> None:
    given = ["parcel_pipeline.py:parcels", "--workflow", "parcels", "--where", "true"]
    assert ask("pause", *given).returncode == 2


def test_of_several_workflows_one_is_to_be_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "two_pipeline.py").write_text(f"{PARCELS}{SECOND}")
    store = ["--store", "two.duckdb"]
    made = command("run", "two_pipeline.py:parcels,letters", *store, "--workers", 0)
    assert made.returncode == 0, made.stderr

    outcome = command("pause", "--where", "true", *store)

    assert outcome.returncode == 2
    assert "letters, parcels" in outcome.stderr
    assert command("pause", "--where", "true", "--workflow", "letters", *store).returncode == 0
    assert command("runs", *store).returncode == 2


def test_where_transitions_are_not_recorded_none_is_written(
    command: Command, own_parcels: Path
) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{own_parcels}' AS store")
        connection.execute("DROP TABLE store.parcels.transitions")
    outcome = command("pause", "--store", own_parcels, "--where", "weight = -1", "--json")
    assert document(outcome)["changed"] == 1


def test_a_drain_under_way_leaves_alone_what_is_cancelled(
    tmp_path: Path, command: Command, guests_at_gate: subprocess.Popen[str]
) -> None:
    store = ["--store", "guests.duckdb", "--json"]
    assert document(command("cancel", "--where", "name <> 'guest 0'", *store))["changed"] == 299
    (tmp_path / "go").touch()
    again = json.loads(command("pause", "--where", "true", "--dry-run", *store).stdout)
    assert again["refused"] >= 299

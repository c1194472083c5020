"""Removing finished runs by a command, which needs no definition of their workflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, Outcome, document, load_parcels

COUNT = "SELECT count(*) AS runs FROM parcels.runs"


@pytest.fixture
def prune(tmp_path: Path, command: Command) -> Callable[..., Outcome]:
    """Call it on a store in which 19 runs were sent, one refused, one waits, one is paused."""
    assert load_parcels(tmp_path, [*range(20), -1, -2]).returncode == 1
    (tmp_path / "parcel_pipeline.py").unlink()

    def on_store(*arguments: object) -> Outcome:
        return command("prune", "--store", "parcels.duckdb", *arguments)

    return on_store


def left(command: Command) -> int:
    [row] = document(command("sql", COUNT, "--store", "parcels.duckdb", "--json"))
    return int(row["runs"])


def test_finished_runs_are_removed_and_the_others_stay(
    prune: Callable[..., Outcome], command: Command
) -> None:
    outcome = prune("--finished-before", "0m")

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("prune: 20 runs, 39 transitions and 0 errors removed; the ")
    assert left(command) == 2


def test_who_finished_lately_stays(prune: Callable[..., Outcome], command: Command) -> None:
    assert prune("--finished-before", "30d").stdout.startswith("prune: 0 runs, ")
    assert prune("--finished-before", "2020-01-31").stdout.startswith("prune: 0 runs, ")
    assert left(command) == 22


def test_a_dry_run_tells_and_removes_nothing(
    prune: Callable[..., Outcome], command: Command
) -> None:
    foreseen = document(prune("--finished-before", "0m", "--dry-run", "--json"))
    assert left(command) == 22

    done = document(prune("--finished-before", "0m", "--json"))

    assert foreseen == done | {"dry_run": True, "bytes_after": foreseen["bytes_before"]}
    assert (done["runs"], done["transitions"], done["errors"]) == (20, 39, 0)


def test_a_predicate_and_a_workflow_choose_among_them(prune: Callable[..., Outcome]) -> None:
    chosen = ("--workflow", "parcels", "--where", "weight > 15")
    assert prune("--finished-before", "0m", *chosen).stdout.startswith("prune: 4 runs, 8 ")


@pytest.mark.parametrize("age", ["30", "13:30", "-3d", "99999999999999w"])
def test_what_is_no_age_is_a_usage_error(prune: Callable[..., Outcome], age: str) -> None:
    outcome = prune("--finished-before", age)

    assert outcome.returncode == 2
    assert f"'{age}' is no age; give one like 30d" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workflow", "letters"], "no workflow 'letters'; its workflows are: 'parcels'"),
        (["--where", "mass > 1"], "have the columns seq, run_id"),
    ],
)
def test_what_can_not_be_done_exits_with_3(
    prune: Callable[..., Outcome], arguments: list[str], said: str
) -> None:
    outcome = prune("--finished-before", "0m", *arguments)

    assert outcome.returncode == 3
    assert said in outcome.stderr


def test_beside_a_run_at_work_it_removes_what_has_finished(
    guests_at_gate: object, command: Command
) -> None:
    before = ("prune", "--store", "guests.duckdb", "--finished-before")
    assert (
        command("cancel", "--store", "guests.duckdb", "--where", "name < 'guest 2'").returncode == 0
    )

    foreseen = document(command(*before, "0m", "--dry-run", "--json"))
    pruned = command(*before, "0m", "--where", "name < 'guest 10'", "--workflow", "guests")

    assert pruned.stderr == ""
    assert 0 < int(re.findall(r"prune: (\d+) runs", pruned.stdout)[0]) < foreseen["runs"]
    assert document(command(*before, "30d", "--json"))["runs"] == 0

    refused = command(*before, "0m", "--workflow", "others")
    assert refused.returncode == 3
    assert "'others'" in refused.stderr


def test_a_store_that_is_not_there_is_not_made(command: Command, tmp_path: Path) -> None:
    outcome = command("prune", "--store", "nothing.duckdb", "--finished-before", "0m")

    assert outcome.returncode == 2
    assert not list(tmp_path.iterdir())

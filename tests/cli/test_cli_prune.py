"""Pruning, which needs no workflow definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, Outcome, document

COUNT = "SELECT count(*) AS runs FROM parcels.runs"


@pytest.fixture
def prune(on_own_store: Command) -> Callable[..., Outcome]:
    """Prune a store with 19 sent runs, one refused, one waiting and one paused."""

    def on_store(*arguments: object) -> Outcome:
        return on_own_store("prune", *arguments)

    return on_store


def left(on_own_store: Command) -> int:
    [row] = document(on_own_store("sql", COUNT, "--json"))
    return int(row["runs"])


def test_finished_runs_are_removed_and_the_others_stay(
    prune: Callable[..., Outcome], on_own_store: Command
) -> None:
    outcome = prune("--finished-before", "0m")

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(
        "20 runs, 39 transitions and 0 errors removed. The store took "
    )
    assert left(on_own_store) == 2


def test_runs_that_finished_later_stay(
    prune: Callable[..., Outcome], on_own_store: Command
) -> None:
    assert prune("--finished-before", "30d").stdout.startswith("0 runs, ")
    assert prune("--finished-before", "2020-01-31").stdout.startswith("0 runs, ")
    assert left(on_own_store) == 22


def test_a_dry_run_counts_and_removes_nothing(
    prune: Callable[..., Outcome], on_own_store: Command
) -> None:
    planned = document(prune("--finished-before", "0m", "--dry-run", "--json"))
    assert left(on_own_store) == 22

    done = document(prune("--finished-before", "0m", "--json"))

    # Opening the log of a store takes some bytes.
    assert planned.pop("bytes_after") >= planned.pop("bytes_before")
    assert planned.items() <= (done | {"dry_run": True}).items()
    assert (done["runs"], done["transitions"], done["errors"]) == (20, 39, 0)


def test_a_predicate_and_a_workflow_select_among_finished_runs(
    prune: Callable[..., Outcome],
) -> None:
    chosen = ("--workflow", "parcels", "--where", "weight > 15")
    assert prune("--finished-before", "0m", *chosen).stdout.startswith("4 runs, 8 transitions and ")


@pytest.mark.parametrize("age", ["30", "13:30", "-3d", "99999999999999w"])
def test_an_invalid_age_is_a_usage_error(on_shared_store: Command, age: str) -> None:
    outcome = on_shared_store("prune", "--finished-before", age)

    assert outcome.returncode == 2
    assert f"'{age}' isn't an age. Give one like 90m" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--workflow", "letters"], "no workflow 'letters'; the workflows are: 'parcels'"),
        (["--where", "mass > 1"], "have the columns seq, run_id"),
    ],
)
def test_an_unknown_workflow_or_column_exits_with_3(
    prune: Callable[..., Outcome], arguments: list[str], expected: str
) -> None:
    outcome = prune("--finished-before", "0m", *arguments)

    assert outcome.returncode == 3
    assert expected in outcome.stderr


def test_a_missing_store_is_not_created(command: Command, tmp_path: Path) -> None:
    outcome = command("prune", "--store", "nothing.duckdb", "--finished-before", "0m")

    assert outcome.returncode == 2
    assert not list(tmp_path.iterdir())

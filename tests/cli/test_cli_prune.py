"""Removing finished runs by a command, which needs no definition of their workflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, Outcome, document

COUNT = "SELECT count(*) AS runs FROM parcels.runs"


@pytest.fixture
def prune(tell: Command) -> Callable[..., Outcome]:
    """Call it on a store in which 19 runs were sent, one refused, one waits, one is paused."""

    def on_store(*arguments: object) -> Outcome:
        return tell("prune", *arguments)

    return on_store


def left(tell: Command) -> int:
    [row] = document(tell("sql", COUNT, "--json"))
    return int(row["runs"])


def test_finished_runs_are_removed_and_the_others_stay(
    prune: Callable[..., Outcome], tell: Command
) -> None:
    outcome = prune("--finished-before", "0m")

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(
        "20 runs, 39 transitions and 0 errors removed. The store took "
    )
    assert left(tell) == 2


def test_who_finished_lately_stays(prune: Callable[..., Outcome], tell: Command) -> None:
    assert prune("--finished-before", "30d").stdout.startswith("0 runs, ")
    assert prune("--finished-before", "2020-01-31").stdout.startswith("0 runs, ")
    assert left(tell) == 22


def test_a_dry_run_tells_and_removes_nothing(prune: Callable[..., Outcome], tell: Command) -> None:
    foreseen = document(prune("--finished-before", "0m", "--dry-run", "--json"))
    assert left(tell) == 22

    done = document(prune("--finished-before", "0m", "--json"))

    assert foreseen == done | {"dry_run": True, "bytes_after": foreseen["bytes_before"]}
    assert (done["runs"], done["transitions"], done["errors"]) == (20, 39, 0)


def test_a_predicate_and_a_workflow_choose_among_them(prune: Callable[..., Outcome]) -> None:
    chosen = ("--workflow", "parcels", "--where", "weight > 15")
    assert prune("--finished-before", "0m", *chosen).stdout.startswith("4 runs, 8 transitions and ")


@pytest.mark.parametrize("age", ["30", "13:30", "-3d", "99999999999999w"])
def test_what_is_no_age_is_a_usage_error(ask: Command, age: str) -> None:
    outcome = ask("prune", "--finished-before", age)

    assert outcome.returncode == 2
    assert f"'{age}' isn't an age. Give one like 90m" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workflow", "letters"], "no workflow 'letters'; the workflows are: 'parcels'"),
        (["--where", "mass > 1"], "have the columns seq, run_id"),
    ],
)
def test_what_can_not_be_done_exits_with_3(
    prune: Callable[..., Outcome], arguments: list[str], said: str
) -> None:
    outcome = prune("--finished-before", "0m", *arguments)

    assert outcome.returncode == 3
    assert said in outcome.stderr


def test_a_store_that_is_not_there_is_not_made(command: Command, tmp_path: Path) -> None:
    outcome = command("prune", "--store", "nothing.duckdb", "--finished-before", "0m")

    assert outcome.returncode == 2
    assert not list(tmp_path.iterdir())

"""Each command while a ``batchflow run`` has the store open."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
from command_line import Command

import batchflow as bf
from batchflow.cli.group import batchflow as commands

STORE = ["--store", "guests.duckdb"]
ONE = ["--where", "name = 'guest 7'"]
FEW = ["--where", "name IN ('guest 11', 'guest 12', 'guest 13')"]
BEFORE = ["--finished-before", "0m"]
RUN_ID = "the id of guest 7"

# Part of the output of each command, executed in this order.
EXPECTED = [
    (["status"], "AT_GATE"),
    (["counts"], "300"),
    (["runs", *ONE], "guest 7"),
    (["show", RUN_ID], "AT_GATE"),
    (["errors"], "No failures are stored."),
    (["errors", "--since", "1h"], "No failures of these runs in this period are stored."),
    (["rejected"], "record"),
    (["explain", "--where", "name < 'guest 2'"], "Nothing separates these runs from the rest."),
    (["costs"], "step_seconds"),
    (["metrics"], "batchflow_runs"),
    (["check"], "The store is sane."),
    (["diff", "--since", "1h"], "AT_GATE"),
    (
        ["rehearse", "gated_pipeline.py:guests", *ONE, "--at", "OUTSIDE", "--until", "AT_GATE"],
        "AT_GATE",
    ),
    (["load", "guests.csv", "guests", "--foreign-id", "name"], "0 runs"),
    (["sql", "SELECT 1000 + count(*) FROM guests.transitions"], "1300"),
    (["ages"], "age_seconds"),
    (["durations"], "p50_seconds"),
    (["funnel"], "reached"),
    (["throughput"], "runs_per_second"),
    (["transitions"], "OUTSIDE"),
    (["export", "transitions", "out.parquet"], "300 transitions written to out.parquet."),
    (["pause", *ONE], "1 run paused."),
    (["resume", *ONE], "1 run resumed."),
    (["edit", *FEW, "--set", "name=name"], "3 runs edited."),
    (["cancel", *FEW], "3 runs cancelled."),
    (["retry", *FEW, "--dry-run"], "3 runs would be retried."),
    (
        ["prune", *BEFORE, "--dry-run"],
        "3 runs, 9 transitions and 0 errors would be removed. The ",
    ),
    (["prune", *BEFORE, *FEW], "3 runs, 9 transitions and 0 errors removed. The "),
    (["stop"], "The engine is stopping."),
]
# What is refused beside a run, or has nothing to do there: its exit code and part of its message.
REFUSED = [
    (["run", "gated_pipeline.py:guests"], 75, "gated_pipeline.py:guests"),
    (["repair"], 75, "gated_pipeline.py:guests"),
    (["reshard", "2", "--into", "set-{shard}.duckdb"], 75, "gated_pipeline.py:guests"),
    (["repro", "gated_pipeline.py:guests", RUN_ID], 3, "hasn't failed"),
]
# The demo has a store of its own.
WITHOUT_A_STORE = {"completion", "demo", "diagram"}


def test_every_command_is_covered() -> None:
    tried = {words[0] for words, *_ in [*EXPECTED, *REFUSED]}
    assert tried == set(commands.commands) - WITHOUT_A_STORE


def test_each_command_works_beside_a_run(
    tmp_path: Path, command: Command, guests_at_gate: subprocess.Popen[str]
) -> None:
    with bf.connect(tmp_path / "guests.duckdb") as client:
        [(run_id,)] = client.runs("name = 'guest 7'").select("run_id").fetchall()
    for words, exit_code, message in REFUSED:
        arguments = (run_id if word == RUN_ID else word for word in words)
        refused = command(*arguments, *STORE)
        assert (refused.returncode, refused.stdout) == (exit_code, ""), words
        assert message in refused.stderr, words
        assert exit_code != 75 or f"process {guests_at_gate.pid} " in refused.stderr, words
    for words, expected in EXPECTED:
        outcome = command(*(run_id if word == RUN_ID else word for word in words), *STORE)
        assert (outcome.returncode, outcome.stderr) == (0, ""), words
        assert expected in outcome.stdout, words
    output, errors = guests_at_gate.communicate()
    assert guests_at_gate.returncode == 4, errors

    assert "AT_GATE" in output
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 300
    with bf.connect(tmp_path / "guests.duckdb") as client:
        assert client.counts().select("runs").fetchall() == [(297,)]

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
from command_line import Command, Start, call_process, document

import batchflow as bf
from batchflow.demo.generate import UNKNOWN_COUPON, write_orders
from batchflow.demo.orders import orders

SMALL = ["demo", "--runs", 3_000, "--dir", "here", "--workers", 1]


def test_the_demo_finishes_and_suggests_commands(tmp_path: Path, command: Command) -> None:
    outcome = command(*SMALL)
    assert outcome.returncode == 0, outcome.stderr
    assert "FULFILLED" in outcome.stdout
    assert "KeyError" in outcome.stdout
    store = "here/orders-3000.duckdb"
    assert f"errors --store {store}" in outcome.stderr
    paused = "SELECT foreign_id, coupon, reason FROM orders.runs WHERE run_state = 'PAUSED'"
    assert paused in outcome.stderr
    rows = document(command("sql", paused, "--store", store, "--json"))
    assert [row["coupon"] for row in rows] == [UNKNOWN_COUPON]


def test_a_second_demo_creates_a_new_store(tmp_path: Path, command: Command) -> None:
    first = document(command(*SMALL, "--json"))
    second = document(command(*SMALL, "--json"))
    assert first["store"] != second["store"]
    assert first["report"]["statuses"] == second["report"]["statuses"]


def test_a_killed_demo_is_continued(tmp_path: Path, command: Command, start: Start) -> None:
    process = start("demo", "--runs", 30_000, "--dir", "here", "--workers", 1, "--verbose")
    _await_commit(process)
    process.kill()
    process.communicate()
    outcome = command("demo", "--runs", 30_000, "--dir", "here", "--workers", 1, "--json")
    assert "Continuing here/orders-30000.duckdb" in outcome.stderr
    result = document(outcome)
    assert result["store"] == "here/orders-30000.duckdb"
    assert sum(entry["runs"] for entry in result["report"]["statuses"]) == 30_000
    assert {entry["run_state"] for entry in result["report"]["statuses"]} == {"COMPLETED", "PAUSED"}


def test_a_demo_whose_store_is_held_exits_with_75(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "orders-3000.duckdb", orders, workers=0):
        outcome = call_process(tmp_path, "demo", "--runs", 3_000, "--dir", ".")
    assert (outcome.returncode, outcome.stdout) == (75, "")


def test_the_generated_orders_are_always_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_orders(tmp_path / name, 5_000)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_generated_orders_have_the_faults_that_the_demo_shows(tmp_path: Path) -> None:
    write_orders(tmp_path / "orders", 100_000)
    made = pq.read_table(tmp_path / "orders").to_pydict()
    assert made["coupon"].count(UNKNOWN_COUPON) == 2
    assert 1_500 < made["items"].count(0) < 2_500
    assert 700 < made["method"].count("invalid") < 1_300
    assert len(set(made["order_id"])) == 100_000


def _await_commit(process: subprocess.Popen[str]) -> None:
    from command_line import await_line

    await_line(process, "committed")

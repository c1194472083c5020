"""``batchflow explain``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import Command, document

import batchflow as bf
from kit.slices import orders, random_orders

BRAZIL = "seq IN (SELECT seq FROM orders.runs WHERE country = 'BR' AND hash(seq) % 10 > 0)"


@pytest.fixture
def explain(tmp_path: Path, command: Command) -> Command:
    """Execute the command on a store with random orders."""
    path = tmp_path / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        engine.trigger_many(random_orders(1_000, np.random.default_rng(0)), foreign_id="order_id")
    return lambda *arguments: command("explain", "--store", path, *arguments)


def test_what_runs_share_is_a_table_a_document_and_a_plot(explain: Command, tmp_path: Path) -> None:
    [line] = document(explain("--where", BRAZIL, "--since", "1d", "--json"))
    assert line["slice"] == "country = 'BR'"
    assert (line["share_of_these"], line["explained"]) == (1, 1)

    assert "country = 'BR'" in explain("--where", BRAZIL).stdout

    assert explain("--where", BRAZIL, "--plot", "out.svg").returncode == 0
    assert "country = 'BR'" in (tmp_path / "out.svg").read_text().replace("&#x27;", "'")


def test_nothing_to_explain_is_one_sentence(explain: Command) -> None:
    nothing = explain("--where", "hash(seq) % 7 = 3")
    assert (nothing.returncode, nothing.stdout) == (
        0,
        "Nothing separates these runs from the rest.\n",
    )

    everything = explain("--where", "true")
    assert (everything.returncode, everything.stdout) == (3, "")
    assert everything.stderr.count("\n") == 1

"""The page of the store lists the columns, run states and outcomes that a store has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.definition.run_state import ALLOWED
from batchflow.store.schema.layout import TRANSITION_OUTCOMES
from batchflow.testing import inline_engine
from kit.things import Stage

TEXT = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")


@dataclass
class Parcel:
    pass


def rows_after(heading: str) -> list[list[str]]:
    table = re.findall(r"(?:^\|.*\n)+", TEXT.split(heading, 1)[1], re.MULTILINE)[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def columns_of(table: str) -> list[str]:
    workflow = bf.Workflow("parcels", Parcel, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE)
    with inline_engine(workflow) as engine:
        return engine.sql(f"FROM parcels.{table}").columns


@pytest.mark.parametrize("table", ["runs", "transitions", "errors"])
def test_each_column_is_listed(table: str) -> None:
    listed = [
        name for cell, *_ in rows_after(f"**`{table}`**") for name in re.findall(r"`(\w+)`", cell)
    ]
    assert listed == columns_of(table)


def test_each_outcome_is_listed() -> None:
    [meaning] = [row[2] for row in rows_after("**`transitions`**") if row[0] == "`outcome`"]
    assert re.findall(r"`(\w+)`", meaning) == list(TRANSITION_OUTCOMES)


def test_each_run_state_is_listed_with_its_moves() -> None:
    listed = {
        states[0]: set(states[1:])
        for states in (
            re.findall(r"`([A-Z_]+)`", f"{row[0]} {row[2]}") for row in rows_after("## Run states")
        )
    }
    assert listed == {
        source.name: {to.name for to in bf.RunState if ALLOWED[source, to]}
        for source in bf.RunState
    }

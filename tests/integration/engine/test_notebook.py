"""Cells of a notebook that are executed again while an engine is open."""

from __future__ import annotations

import gc
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf

CLASSES = """
import enum
from dataclasses import dataclass
import batchflow as bf
class Status(enum.Enum):
    NEW = 1
    DONE = 2
@dataclass
class Order:
    total: int = 0
"""
HELPER = "def helper(): return 1"
WORKFLOW = """
flow = bf.Workflow("orders", Order, Status)
@flow.step(Status.NEW, to=Status.DONE)
def go(run):
    run.object.total = helper()
    return Status.DONE
"""
OPEN = "engine = bf.Engine(path, flow, workers=0)"

Cell = Callable[[str], types.SimpleNamespace]


@pytest.fixture
def cell(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    """Execute code as a cell of a notebook; return its variables."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    main.__dict__["path"] = path

    def execute(code: str) -> types.SimpleNamespace:
        exec(compile(code, "<cell>", "exec"), main.__dict__)
        return types.SimpleNamespace(**main.__dict__)

    for code in (CLASSES, HELPER, WORKFLOW):
        execute(code)
    yield execute
    for engine in bf.engines():
        engine.close()


def totals(engine: bf.Engine, key: str, order: Any) -> list[int]:
    engine.trigger(key, order)
    engine.run()
    return [total for (total,) in engine.sql("SELECT total FROM orders.runs").fetchall()]


def test_the_open_engines_of_the_process_are_listed_in_order(cell: Cell) -> None:
    one = cell(OPEN).engine
    other = cell("other = bf.Engine(':memory:', flow, workers=0)").other
    assert bf.engines() == (one, other)
    one.close()
    assert bf.engines() == (other,)


def test_an_engine_whose_variable_is_lost_is_listed_until_it_is_closed(cell: Cell) -> None:
    path = cell("def opens():\n    " + OPEN + "\nopens()").path
    gc.collect()
    with pytest.raises(bf.StoreHeldError, match=r"bf\.engines\(\)"):
        cell(OPEN)
    [lost] = bf.engines()
    assert lost.path == str(path.resolve())
    lost.close()
    assert bf.engines() == ()
    again = cell(OPEN).engine
    assert bf.engines() == (again,)


def test_a_cell_that_is_executed_again_replaces_its_idle_engine(cell: Cell) -> None:
    first = cell(OPEN).engine
    first.trigger("a", cell("").Order())
    again = cell(OPEN).engine
    assert bf.engines() == (again,)
    assert totals(again, "b", cell("").Order()) == [1, 1]
    with pytest.raises(bf.StoreClosedError):
        first.run()


@pytest.mark.parametrize(
    "use",
    [
        pytest.param("engine.start()\n" + OPEN, id="it runs in the background"),
        pytest.param("with engine:\n    " + OPEN, id="a block closes it"),
        pytest.param("def again():\n    " + OPEN + "\nagain()", id="a function opens the store"),
    ],
)
def test_an_engine_in_use_is_not_replaced(cell: Cell, use: str) -> None:
    cell(OPEN)
    with pytest.raises(bf.StoreHeldError, match=r"of this process: .*bf\.engines\(\)"):
        cell(use)


def test_workers_use_a_helper_that_was_redefined(cell: Cell) -> None:
    engine = cell(OPEN.replace("workers=0", "workers=1")).engine
    order = cell("").Order
    assert totals(engine, "a", order()) == [1]
    cell("def helper(): return 2")
    assert totals(engine, "b", order()) == [1, 2]


def test_a_redefined_step_is_named_in_a_warning(cell: Cell) -> None:
    engine = cell(OPEN).engine
    cell(WORKFLOW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.run()
    cell(WORKFLOW.replace("helper()", "7"))
    with pytest.warns(UserWarning, match=r"go was defined again .*open the engine again"):
        engine.run()


def test_redefined_classes_are_one_error_and_no_failed_runs(cell: Cell) -> None:
    engine = cell(OPEN.replace("workers=0", "workers=1")).engine
    engine.trigger("a", cell("").Order())
    cell(CLASSES + HELPER.replace("1", "2"))
    with pytest.raises(bf.EngineStateError, match=r"Status was defined again .*open the engine"):
        engine.run()
    assert engine.errors().fetchall() == []
    engine = cell(WORKFLOW + OPEN).engine
    assert totals(engine, "b", cell("").Order()) == [2, 2]


@pytest.mark.parametrize("other_field", ["", "    price: float = 0.0\n"])
def test_objects_and_statuses_of_redefined_classes_are_refused(
    cell: Cell, other_field: str
) -> None:
    engine = cell(OPEN).engine
    former = cell("").Order
    new = cell(CLASSES + other_field)
    with pytest.raises(bf.LoadError, match=r"Order, which was defined again; .* open the engine"):
        engine.trigger("a", new.Order())
    with pytest.raises(bf.LoadError, match=r"Order, which was defined again; .* open the engine"):
        engine.trigger_many([new.Order()], foreign_id="total")
    with pytest.raises(bf.DefinitionError, match=r"Status was defined again: .* open the engine"):
        engine.trigger("a", former(), at=new.Status.NEW)
    # A client has only the description of the workflow, so it takes any class of this name.
    client = bf.connect(new.path)
    client.trigger("a", former(), at=new.Status.NEW)
    assert client.get("a").foreign_id == "a"

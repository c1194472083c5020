"""The executor in docs/executors.md keeps the contract, and executes a workflow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import batchflow as bf
from batchflow import testing
from batchflow.executor import Capability
from kit.things import Stage

PAGE = Path(__file__).parents[3] / "docs" / "executors.md"


def documented_executor() -> Any:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    [code] = [block for block in blocks if "class ThreadExecutor" in block]
    # A dataclass looks up the module that it is defined in.
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["Threads"]


Threads = documented_executor()


@pytest.mark.parametrize("check", testing.executor_contract(Threads(2)).checks, ids=str)
def test_the_documented_executor_keeps_the_contract(check: testing.ContractCheck) -> None:
    check.run()


@dataclass
class Visit:
    number: int = 0


def test_an_engine_runs_with_the_documented_executor() -> None:
    workflow = bf.Workflow("visits", Visit, Stage)

    @workflow.step(Stage.NEW, to=Stage.DONE, chunk_rows=10)
    def visit(run: bf.Run[Visit, Stage]) -> Stage:
        run.object.number += 1
        return Stage.DONE

    ids = pa.table({"id": [str(number) for number in range(100)]})
    with bf.Engine(":memory:", workflow, executor=Threads(3)) as engine:
        engine.trigger_many(ids, foreign_id="id")
        engine.run()
        assert len(engine.runs("status = 'DONE' AND number = 1")) == 100


def test_each_capability_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert all(f"`{one.name}`" in page for one in Capability)

"""Fields that have the name of a keyword of SQL are quoted in expressions; messages state that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import batchflow as bf
from batchflow.errors import DefinitionError, InvalidOptionError, QueryError
from kit.things import Stage


@dataclass
class Visit:
    at: int
    order: int
    note: str = ""


def workflow_of(expression: str) -> bf.Workflow[Visit, Stage]:
    workflow = bf.Workflow("visits", Visit, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={"order": expression})
    return workflow


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda engine: engine.runs("note = 'é' AND at > 1").fetchall(), '"at"'),
        (lambda engine: engine.runs("order > 0 AND at > 1").fetchall(), '"at", "order"'),
        (lambda engine: engine.pause("at > 1", reason="late"), '"at"'),
        (lambda engine: engine.edit(where="note = ''", set={"order": "at + 1"}), '"at"'),
    ],
)
def test_a_syntax_error_names_the_columns_to_quote(call: Callable[[Any], Any], hint: str) -> None:
    with bf.Engine(":memory:", workflow_of('"at" + 1'), workers=0) as engine:
        with pytest.raises(QueryError) as raised:
            call(engine)
        assert f" Quote columns that have the name of a keyword: {hint}." in str(raised.value)
        with pytest.raises(QueryError) as raised:
            engine.runs("note = = 1").fetchall()
        assert "Quote" not in str(raised.value)


def test_a_sql_step_that_does_not_quote_a_keyword_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        DefinitionError, match='Quote columns that have the name of a keyword: "at"'
    ):
        bf.Engine(":memory:", workflow_of("at + 1"), workers=0)


def test_a_config_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"of type dict; give bf\.EngineConfig"):
        bf.Engine(":memory:", workflow_of("1"), config={"seed": 1})  # type: ignore[arg-type]

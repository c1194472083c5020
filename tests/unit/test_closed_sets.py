"""Tables whose keys are members of a closed set cover the whole set, or say why they don't.

Closed sets are the kinds of fields, the kinds of steps, outcomes and run states. A new member fails
this test until each table was looked at.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batchflow
from batchflow.definition import Kind, Outcome, RunState, StepKind
from batchflow.operation.request import request_types
from batchflow.shards.merging import MERGES
from batchflow.shards.operations import HOW
from batchflow.store.database.file_format import CREATE_CAUSES, CREATE_COSTS, CREATE_HEADER
from batchflow.store.query.questions import Questions
from batchflow.store.resharding import REWRITTEN

CLOSED_SETS = (Kind, StepKind, Outcome, RunState)

# Tables and collections that cover a part of their set, with the reason.
SUBSETS = {
    "store.query.python_code._PLACEHOLDERS": "An enum and a dataclass are the user's own classes.",
    "store.runs.edit._ERASED": "The run states in which the object must not come back.",
    "definition.type_description._SCALARS": "Any other kind is described by a case of its own.",
    "view.carried._SAME_AFTER_STORING": "Values of any other kind are never carried.",
    "definition.fields._DEFAULTS": "The default of any other kind has the field's own class.",
    "columns.value_reading.MAY_BE_UNREADABLE": "Only stored times can be outside Python's range.",
    "columns.value_reading._NULLS_READ": "The readers of other kinds leave null to read_values.",
    "columns.value_writing._ACCEPTED": "Any other kind accepts the field's own class.",
    "columns.value_writing._EXACT": "Any other kind is exact with the field's own class only.",
    "columns.value_writing._EMPTY": "Only text and bytes can be joined, and have a length limit.",
    "columns.value_writing._WRITERS": "Arrow converts the values of any other kind itself.",
    "columns.leaves._WRITERS": "The values of any other kind are leaves.",
    "columns.array_writing._PLAIN_TIMES": "A batch reads other times as its field has them.",
    "columns.numpy_writing.TIME_UNITS": "Only times have a NumPy unit.",
    "columns.numpy_writing._NUMPY": "Any other pair is converted through Python values.",
    "columns.arrow_writing._SAFE_CASTS": "Any other kind takes exactly its own Arrow type.",
    "columns.arrow_writing._CONVERTERS": "Arrow casts the columns of any other kind itself.",
    "definition.run_state.RUNNABLE": "It is the set of states for which `runnable` is true.",
    "store.loading.source_json._SPELLED": "A value of any other kind has no spelling to keep.",
    "store.loading.member_defaults._TEXTS": "JSON has the values of any other kind itself.",
    "store.runs.exact_values._CONDITIONS": "Any other pair is exact, or is checked outside DuckDB.",
    "store.runs.exact_values._EXACT": "The values of any other pair are checked outside DuckDB.",
    "store.runs.pruned_part.PRUNABLE": "It is computed from `RunState.finished`.",
}


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(batchflow.__path__, "batchflow."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def member_of_closed_set(key: object) -> enum.Enum | None:
    """Return the key if it is a member of a closed set, or the member in a key of several parts."""
    parts = key if isinstance(key, tuple) else (key,)
    return next((part for part in parts if isinstance(part, CLOSED_SETS)), None)


def tables() -> dict[str, set[enum.Enum]]:
    """Return the members that each module-level dict, tuple or set has, by the table's name."""
    found = {}
    for module in modules():
        # A table belongs to the module that assigns it, not to those that import it.
        assigned = set(
            re.findall(r"^(\w+)\b.* = ", Path(module.__file__).read_text(), re.MULTILINE)
        )
        for name, value in vars(module).items():
            if name in assigned and isinstance(value, dict | tuple | frozenset | set):
                members = {member_of_closed_set(key) for key in value} - {None}
                if members:
                    found[f"{module.__name__.removeprefix('batchflow.')}.{name}"] = members
    return found


TABLES = tables()


def missing_from(members: set[enum.Enum]) -> set[str]:
    closed_set = type(next(iter(members)))
    return {member.name for member in closed_set if member not in members}


def test_the_tables_of_every_layer_are_found() -> None:
    assert {
        "definition.options._OF_STEP",
        "definition.run_state._CHANGES",
        "columns.value_reading._READERS",
        "columns.array_reading._READERS",
        "store.loading.column_fit._FITTINGS",
    } <= TABLES.keys()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_covers_its_closed_set_or_gives_a_reason(name: str) -> None:
    missing = missing_from(TABLES[name])

    assert bool(missing) == (name in SUBSETS), f"{name} lacks {sorted(missing)}"


def test_each_reason_is_for_a_table_that_exists() -> None:
    assert SUBSETS.keys() - TABLES.keys() == set()


def test_each_question_and_each_operation_has_its_way_over_several_shards() -> None:
    questions = {name for name, each in vars(Questions).items() if callable(each)}
    assert set(MERGES) == {name for name in questions if not name.startswith("_")}
    assert set(HOW) == set(request_types().values())


def test_each_table_of_a_store_is_rewritten_into_another_number_of_shards() -> None:
    created = re.findall(
        r"CREATE TABLE batchflow\.(\w+)\(", CREATE_HEADER + CREATE_COSTS + CREATE_CAUSES
    )
    assert set(REWRITTEN) == set(created)

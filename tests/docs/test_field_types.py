"""The table of field types is that of the definition."""

from __future__ import annotations

import datetime
import re
import uuid
from dataclasses import make_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest

import batchflow as bf
from batchflow.definition import Kind, fields_of

TEXT = (Path(__file__).parents[2] / "docs" / "field_types.md").read_text()
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \|", TEXT, re.MULTILINE)
NAMES = {"bf": bf, "Annotated": Annotated, "Decimal": Decimal, "UUID": uuid.UUID}
NAMES |= {name: getattr(datetime, name) for name in ("date", "datetime", "timedelta")}
SCALARS = [row for row in ROWS if "[X" not in row[0] and "X]" not in row[0] and "|" not in row[0]]


@pytest.mark.parametrize(("annotation", "arrow", "sql"), SCALARS)
def test_the_types_of_a_field_are_those_of_the_table(annotation: str, arrow: str, sql: str) -> None:
    object_type = make_dataclass("Thing", [("it", eval(annotation, dict(NAMES)))])
    [field] = fields_of(object_type)
    assert str(field.type.arrow) in (arrow, f"{arrow}<")
    assert field.type.sql.replace(", ", ",") == sql.replace(", ", ",")


def test_every_kind_has_a_row() -> None:
    nested = ("an `Enum`", "a dataclass", "`list[X]`", "`dict[str, X]`")
    assert all(f"| {row} |" in TEXT for row in nested)
    assert len(SCALARS) + len(nested) == len(Kind)

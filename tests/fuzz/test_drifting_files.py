"""The files of a glob have columns of different types: each value is stored, or refused by name."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from record_writers import KEY, cell
from records import TYPES, Record, comparable, records, some_records
from test_round_trip import new_folder

import batchflow as bf
from batchflow.testing import inline_engine
from kit.effort import examples


def _exact_float(value: int) -> float:
    return _same(float(value), value)


def _half(value: float) -> float:
    if math.isnan(value):
        return value
    with np.errstate(over="ignore"):
        return _same(float(np.float32(value)), value)


def _whole(value: Decimal) -> int:
    return _same(int(value), value)


def _same(converted: Any, value: Any) -> Any:
    if converted != value or abs(value) > 2**53:
        raise ValueError
    return converted


Form = Callable[[Any], Any]
OWN = "own"
TEXT = "text"
UNFIT_FORM = "unfit"
# Other types of the columns, with the values that they have for a record's. A type that can't have
# one of them raises an error.
FITTING: Mapping[str, Mapping[str, tuple[pa.DataType, Form]]] = {
    "number": {
        "small": (pa.int32(), int),
        "unsigned": (pa.uint64(), int),
        "decimal": (pa.decimal128(38, 2), int),
        "float": (pa.float64(), _exact_float),
    },
    "share": {"half": (pa.float32(), _half)},
    "amount": {"whole": (pa.int64(), _whole)},
    "at_utc": {"fine": (pa.timestamp("ns", "UTC"), lambda value: value)},
}
UNFIT: Mapping[str, tuple[pa.DataType, Form]] = {
    "number": (pa.float64(), lambda value: value + 0.5 if abs(value) < 2**50 else 0.5),
    "share": (pa.bool_(), bool),
    "amount": (pa.float64(), float),
    "text": (pa.int64(), len),
    "flag": (pa.int32(), int),
    "at_utc": (pa.date32(), lambda value: value.date()),
}
NAMES = sorted(UNFIT)


def column(rows: list[Record], name: str, form: str) -> pa.Array | None:
    """Return a field's column in a form; None if it can't have these values."""
    given = [getattr(row, name) for row in rows]
    if form == OWN:
        return pa.array(given, TYPES[name].arrow)
    if form == TEXT:
        return pa.array([cell(value, TYPES[name]) for value in given], pa.string())
    kind, convert = UNFIT[name] if form == UNFIT_FORM else FITTING[name][form]
    try:
        return pa.array([None if value is None else convert(value) for value in given], kind)
    except (ArithmeticError, pa.ArrowException, TypeError, ValueError):
        return None


@dataclasses.dataclass
class DriftingFile:
    """A file to write.

    Attributes:
        name: Its name.
        rows: Its rows, by foreign id.
        forms: The form of each column.
    """

    name: str
    rows: dict[str, Record]
    forms: dict[str, str]

    @property
    def unfit(self) -> list[str]:
        return [name for name, form in self.forms.items() if form == UNFIT_FORM]

    def written_to(self, folder: Path) -> None:
        records_of = list(self.rows.values())
        columns = {name: column(records_of, name, form) for name, form in self.forms.items()}
        pq.write_table(pa.table({KEY: list(self.rows), **columns}), folder / self.name)


@st.composite
def drifting_files(draw: st.DrawFn) -> list[DriftingFile]:
    files = []
    for number in range(draw(st.integers(2, 3))):
        found = draw(some_records(NAMES, least=1))
        forms = {}
        for name in NAMES:
            possible = [OWN, TEXT, *FITTING.get(name, ())]
            # Few are unfit, so that most globs are loaded.
            possible += [UNFIT_FORM] if draw(st.integers(0, 15)) == 15 else []
            forms[name] = draw(
                st.sampled_from([f for f in possible if column(found, name, f) is not None])
            )
        rows = {f"{number}-{at}": record for at, record in enumerate(found)}
        files.append(DriftingFile(f"{number}.parquet", rows, forms))
    return files


def refusal(engine: bf.Engine, source: str) -> str | None:
    """Return the message of a load that is refused; it names the row of a value."""
    try:
        engine.trigger_many(source, foreign_id=KEY)
    except bf.SourceError as error:
        return str(error)
    except bf.InvalidRowsError as error:
        return str(error) if re.search(r"\(rows? \d", str(error)) else "without a row"
    return None


@examples(3)
@given(drifting_files())
def test_the_types_of_a_glob_drift_without_changing_a_value(files: list[DriftingFile]) -> None:
    unfit = [(file, name) for file in files for name in file.unfit]
    filled = any(
        getattr(row, name) is not None for file, name in unfit for row in file.rows.values()
    )
    with new_folder() as folder, inline_engine(records(NAMES)) as engine:
        for file in files:
            file.written_to(folder)
        refused = refusal(engine, str(folder / "*.parquet"))
        if refused is not None:
            named = (file.name in refused and f"'{name}'" in refused for file, name in unfit)
            assert any(named), refused
            assert not engine.runs().fetchall()
            return
        assert not filled
        for file in files:
            for key, record in file.rows.items():
                [(run_id,)] = engine.runs(f"{KEY} = ?", [key]).select("run_id").fetchall()
                found = engine.get(run_id).object
                for name in NAMES:
                    kind = TYPES[name]
                    stored = comparable(getattr(found, name), kind)
                    assert stored == comparable(getattr(record, name), kind), (file.forms, name)

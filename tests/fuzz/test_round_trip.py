"""Values are the same wherever they come from, whatever they pass, and wherever they are read.

`make fuzz BATCHFLOW_FUZZ=1000` searches for hours; a failure prints the example.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from record_writers import (
    IN_POLARS,
    KEY,
    WITHOUT_NULL,
    WRITERS,
    WRITTEN,
    Rows,
    Writer,
    arrow_table,
    cell,
    polars_frame,
)
from records import NAMES, TYPES, Record, comparable, records, some_records

import batchflow as bf
from batchflow.cli import main
from batchflow.definition.fields import Kind
from batchflow.testing import inline_engine
from kit.effort import examples

Expected = Mapping[str, Mapping[str, Any]]
"""The comparable values by foreign id and field."""

# Folders can state these.
FOLDER_FIELDS = ("number", "text", "flag", "day", "colour", "amount", "at_utc")
# Texts with a NUL are refused as the names of folders.
PARTITIONS = frozenset({"amount", "at", "at_utc", "code", "colour", "flag", "number", "took"})
FORMS = st.sampled_from(
    [
        *("export out.csv", "export out.parquet", "export folder"),
        *("sql sql.csv", "sql sql.json", "sql sql.parquet"),
    ]
)
SOME_NAMES = st.sets(st.sampled_from(NAMES), min_size=2, max_size=6).map(sorted)


def values_of(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: comparable(getattr(record, name), TYPES[name]) for name in names}


@dataclass
class SourceFile:
    """A file to write.

    Attributes:
        write: The writer.
        rows: Its rows.
        columns: The fields that it has.
        folder: The field that only the folder of the file states, with the same value for all rows.
    """

    write: Writer
    rows: dict[str, Record]
    columns: list[str]
    folder: str | None

    def expected(self, names: Sequence[str]) -> Expected:
        """Return the values that are loaded."""
        found = {}
        for key, record in self.rows.items():
            given = {name: getattr(record, name) for name in (*self.columns, *self._in_folder)}
            if self.write in WITHOUT_NULL:
                for name, empty in {"text": "", "raw": b""}.items():
                    if name in self.columns and given[name] is None:
                        given[name] = empty
            found[key] = values_of(dataclasses.replace(Record(), **given), names)
        return found

    @property
    def _in_folder(self) -> tuple[str, ...]:
        return () if self.folder is None else (self.folder,)

    def written_to(self, folder: Path, name: str) -> None:
        """Write the file below a folder."""
        if self.folder is not None:
            value = next((getattr(row, self.folder) for row in self.rows.values()), None)
            text = cell(value, TYPES[self.folder])
            shown = "__HIVE_DEFAULT_PARTITION__" if text is None else quote(text, safe="")
            folder = folder / f"{self.folder}={shown}"
        folder.mkdir(exist_ok=True)
        self.write(folder / name, self.rows, self.columns)


@st.composite
def source_files(draw: st.DrawFn, suffix: str, names: Sequence[str]) -> list[SourceFile]:
    """Files with different columns, some without rows, some in folders that state a field."""
    files = []
    for number in range(draw(st.integers(1, 3))):
        write = draw(st.sampled_from(WRITERS[suffix]))
        # JSON without records has no columns, and is refused.
        found = draw(some_records(names, least=int(suffix == "json")))
        writable = [name for name in names if name in WRITTEN.get(write, NAMES)]
        missing = draw(st.sets(st.sampled_from(names), max_size=2))
        stated = [name for name in FOLDER_FIELDS if name in names and found]
        folder = draw(st.none() | st.sampled_from(stated)) if stated else None
        if folder is not None:
            shared = {folder: getattr(found[0], folder)}
            found = [dataclasses.replace(record, **shared) for record in found]
        rows = {f"{number}-{at}": record for at, record in enumerate(found)}
        columns = [name for name in writable if name not in {*missing, folder}]
        files.append(SourceFile(write, rows, columns, folder))
    return files


@contextlib.contextmanager
def new_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@examples(3)
@given(st.data())
def test_files_return_their_values_by_every_way(data: st.DataObject) -> None:
    names, form = data.draw(SOME_NAMES), data.draw(FORMS)
    suffix = data.draw(st.sampled_from(sorted(WRITERS)))
    files = data.draw(source_files(suffix, names))
    expected = {key: values for file in files for key, values in file.expected(names).items()}
    with new_folder() as folder:
        (folder / "in").mkdir()
        for number, file in enumerate(files):
            file.written_to(folder / "in", f"{number}.{suffix}")
        source = str(folder / "in" / "**" / f"*.{suffix}")
        RoundTrip(folder, names, expected, form).returns_its_values(source)


Table = Callable[[Rows, Sequence[str]], Any]
TABLES: Mapping[str, Table] = {
    "mappings": lambda rows, names: [
        {KEY: key, **{name: getattr(record, name) for name in names}}
        for key, record in rows.items()
    ],
    "Arrow": arrow_table,
    "pandas": lambda rows, names: arrow_table(rows, names).to_pandas(types_mapper=pd.ArrowDtype),
    # As pandas reads Parquet: nested values are arrays, dicts and pairs.
    "pandas of NumPy": lambda rows, names: arrow_table(rows, names).to_pandas(
        integer_object_nulls=True, timestamp_as_object=True
    ),
    "pandas of objects": lambda rows, names: pd.DataFrame(
        {
            KEY: pd.Series(list(rows), dtype="str"),
            **{
                name: pd.Series([getattr(row, name) for row in rows.values()], dtype=object)
                for name in names
            },
        }
    ),
    "Polars": lambda rows, names: polars_frame(rows, [n for n in names if n in IN_POLARS]),
}


# pandas doesn't distinguish NaN from None.
MISSING_NAN = ("pandas of NumPy", "pandas of objects")


def without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparable values of a record with None for NaN."""
    return {name: None if value == "nan" else value for name, value in values.items()}


@examples(2)
@given(st.data())
def test_tables_return_their_values_by_every_way(data: st.DataObject) -> None:
    names, form = data.draw(SOME_NAMES), data.draw(FORMS)
    table = data.draw(st.sampled_from(sorted(TABLES)))
    rows = {str(number): each for number, each in enumerate(data.draw(some_records(names)))}
    written = [name for name in names if table != "Polars" or name in IN_POLARS]
    expected = {
        key: values_of(Record(), names) | values_of(record, written) for key, record in rows.items()
    }
    if table in MISSING_NAN:
        expected = {key: without_nan(values) for key, values in expected.items()}
    with new_folder() as folder:
        RoundTrip(folder, names, expected, form).returns_its_values(TABLES[table](rows, names))


@dataclass
class RoundTrip:
    """A source's way through a store, to an export in one form."""

    folder: Path
    names: list[str]
    expected: Expected
    form: str

    @property
    def store(self) -> str:
        return str(self.folder / "store.duckdb")

    @property
    def query(self) -> str:
        selected = ", ".join(f'"{name}"' for name in (KEY, *self.names))
        return f"SELECT {selected} FROM records.runs"

    def returns_its_values(self, source: Any) -> None:
        """Load a source, pass its runs through all steps, and read them by every way."""
        with inline_engine(records(self.names), path=self.store) as engine:
            assert engine.trigger_many(source, foreign_id=KEY).loaded == len(self.expected)
            assert not engine.run().paused, engine.errors().fetchall()
            self.is_read(engine)
            with bf.connect(self.store) as client:
                self.is_read(client)
        with bf.connect(self.store) as client:
            self.is_read(client)
        with inline_engine(records(self.names)) as engine:
            engine.trigger_many(self.exported())
            assert self.found(engine.sql(self.query).arrow().to_pylist())

    def is_read(self, store: bf.Engine | bf.StoreClient) -> None:
        """Read the runs of a store as tuples, tables, frames and objects."""
        rows = store.sql(self.query)
        columns = (KEY, *self.names)
        assert self.found([dict(zip(columns, row, strict=True)) for row in rows.fetchall()])
        assert self.found(rows.arrow().to_pylist())
        assert self.found(rows.pl().to_dicts())
        assert self.found_in_frame(rows.df())
        for key, run_id in store.sql(f"SELECT {KEY}, run_id FROM records.runs").fetchall():
            assert values_of(store.get(run_id).object, self.names) == self.expected[key]

    def found_in_frame(self, frame: pd.DataFrame) -> bool:
        """Compare the rows of a pandas frame, whose times within lists have no zone."""
        names = [name for name in self.names if name != "moments"]
        columns = (frame[name].tolist() for name in (KEY, *names))
        for key, *row in zip(*columns, strict=True):
            found = {
                name: None if is_gap(value) else comparable(of_frame(value, name), TYPES[name])
                for name, value in zip(names, row, strict=True)
            }
            assert found == {n: without_nan(self.expected[key])[n] for n in names}
        return True

    def found(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Compare the rows of a table with what is expected."""
        found = {
            row[KEY]: {name: comparable(row[name], TYPES[name]) for name in self.names}
            for row in rows
        }
        assert found == self.expected
        return True

    def exported(self) -> str:
        """Write all runs to a file, and return its path."""
        command, _, name = self.form.partition(" ")
        path = str(self.folder / name)
        if command == "export":
            parts = ["--partition-by", self.names[0]] if self.names[0] in PARTITIONS else []
            more = parts if name == "folder" else []
            succeeds(["export", "runs", "--store", self.store, path, *more])
            return f"{path}/**/*.parquet" if name == "folder" else path
        query = ["sql", self.query, "--store", self.store]
        if name == "sql.parquet":
            succeeds([*query, "--parquet", path])
            return path
        with Path(path).open("w", encoding="utf-8", newline="") as file, redirect_stdout(file):
            succeeds([*query, f"--{Path(path).suffix[1:]}"])
        return path


def is_gap(value: Any) -> bool:
    """Return whether pandas has no value."""
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or value is np.ma.masked
        or (isinstance(value, float) and math.isnan(value))
    )


def of_frame(value: Any, name: str) -> Any:
    """Return a value of a pandas frame, in which dates are times and gaps within lists masked."""
    if TYPES[name].kind is Kind.DATE:
        return value.date()
    return value.tolist() if isinstance(value, np.ma.MaskedArray) else value


def succeeds(arguments: Sequence[str]) -> None:
    assert main(arguments) == 0, arguments

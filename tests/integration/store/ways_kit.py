"""The ways by which a value reaches a field: steps of each kind, and sources of each kind."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import enum
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import batchflow as bf
from batchflow.testing import inline_engine


class Stage(enum.Enum):
    BY_ROW = 1
    BY_BATCH = 2
    LOADED = 3
    DONE = 4


class Result(enum.Enum):
    """What became of a value that isn't stored."""

    REFUSED = 1
    IMPOSSIBLE = 2


REFUSED: Final = Result.REFUSED


class CannotExpressError(Exception):
    """A way has no such value."""


# The library may have no such column, and the format no such value.
INEXPRESSIBLE: Final = (CannotExpressError, TypeError, OverflowError, ValueError)


class Ways:
    """Give values to the field ``value`` of a workflow's runs.

    Args:
        engine: The engine.
        row: The workflow's object type.
        before: A value that fits the field.
        in_map: Whether the field is a dict.
        folder: Where files are written.
        in_step: What the next steps give, by foreign id.
    """

    def __init__(
        self,
        engine: bf.Engine,
        row: Any,
        before: Any,
        in_map: bool,
        folder: Path,
        in_step: dict[str, Any],
    ) -> None:
        self._engine = engine
        self._row = row
        self._before = before
        self._in_map = in_map
        self._folder = folder
        self._in_step = in_step
        self._refused: set[str] = set()

    def results(self, attempts: Sequence[tuple[str, Any]]) -> list[Any]:
        """Return what is stored of each value that is given by a way."""
        given: dict[str, dict[str, Any]] = {}
        for number, (way, value) in enumerate(attempts):
            with suppress(*INEXPRESSIBLE):
                given.setdefault(way, {})[f"k{number}"] = EXPRESS[way](value, self._in_map)
        for way, values in given.items():
            self._give(way, values)
        self._engine.run()
        keys = {key for values in given.values() for key in values}
        runs = self._engine.runs().select("key, run_id, run_state").fetchall()
        states = {key: (run_id, state) for key, run_id, state in runs}
        every = (f"k{number}" for number in range(len(attempts)))
        return [
            self._result(key, *states.get(key, (None, None))) if key in keys else Result.IMPOSSIBLE
            for key in every
        ]

    def _result(self, key: str, run_id: str | None, state: str | None) -> Any:
        if run_id is None or state == "PAUSED" or key in self._refused:
            return Result.REFUSED
        return self._engine.get(run_id).object.value

    def _give(self, way: str, values: Mapping[str, Any]) -> None:
        if way in STEPS:
            self._in_step |= values
            self._load([self._row(key, self._before) for key in values], at=STEPS[way])
        elif way == "SQL step":
            self._load([self._row(key, self._before) for key in values])
            for key, expression in values.items():
                self._edit(key, expression)
        elif way == "object":
            self._load([self._row(*each) for each in values.items()], on_invalid="skip")
        elif way == "record":
            rows = [{"key": key, "value": value} for key, value in values.items()]
            self._load(rows, on_invalid="skip")
        elif way in FILES:
            self._load(FILES[way](values, self._folder / f"rows.{way.lower()}"), on_invalid="skip")
        else:
            for key, value in values.items():
                self._load_one(TABLES[way](key, value, self._folder / f"{key}.parquet"))

    def _edit(self, key: str, expression: str) -> None:
        try:
            self._engine.edit("key = ?", [key], set={"value": f"({expression})"})
        except bf.QueryError:
            self._refused.add(key)

    def _load_one(self, source: Any) -> None:
        try:
            self._load(source)
        except (bf.InvalidRowsError, bf.SourceError) as refused:
            if "'value'" not in str(refused):
                raise

    def _load(self, source: Any, at: Stage = Stage.LOADED, **options: Any) -> None:
        self._engine.trigger_many(source, foreign_id="key", at=at, **options)


def can_express(way: str, value: Any, in_map: bool) -> bool:
    """Return whether a way has such a value."""
    with suppress(*INEXPRESSIBLE):
        EXPRESS[way](value, in_map)
        return True
    return False


@contextmanager
def ways_to(field_type: Any, before: Any, folder: Path) -> Iterator[Ways]:
    """Open an engine with a workflow whose field has this type."""
    row = dataclasses.make_dataclass("Row", [("key", str), ("value", field_type)])
    given: dict[str, Any] = {}

    def by_row(run: Any) -> Stage:
        run.object.value = given[run.object.key]
        return Stage.DONE

    def by_batch(batch: Any) -> Stage:
        batch["value"] = given[batch["key"][0]]
        return Stage.DONE

    never_retried = bf.Retry(pause_after=1)
    workflow: bf.Workflow[Any, Any] = bf.Workflow("values", row, Stage, retry=never_retried)
    workflow.add_step(Stage.BY_ROW, by_row, Stage.DONE)
    workflow.add_step(Stage.BY_BATCH, by_batch, Stage.DONE, batch=True, chunk_rows=1)
    workflow.sql_step(Stage.LOADED, to=Stage.DONE)
    with inline_engine(workflow) as engine:
        yield Ways(engine, row, before, isinstance(before, dict), folder, given)


def _plain(value: Any) -> Any:
    """Return a value as tables and JSON have it: names of members, mappings for objects."""
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(each) for key, each in vars(value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {k: _plain(item) for k, item in value.items()} if isinstance(value, dict) else value


def _arrow(value: Any, in_map: bool) -> pa.Array:
    plain = _plain(value)
    if plain is pd.NA or plain is pd.NaT:
        raise CannotExpressError
    if isinstance(plain, uuid.UUID):
        return pa.array([plain.bytes], pa.uuid())
    if in_map and isinstance(plain, dict):
        keys, items = pa.array(list(plain), pa.string()), pa.array(list(plain.values()))
        return pa.MapArray.from_arrays([0, len(plain)], keys, items)
    return pa.array([plain])


def _polars(value: Any, in_map: bool) -> pl.Series:
    # Polars has no maps and no UUIDs.
    if value is pd.NA or value is pd.NaT or in_map or isinstance(value, uuid.UUID | bytearray):
        raise CannotExpressError
    return pl.Series("value", [_plain(value)], strict=True)


def _one(value: Any, _: bool) -> Any:
    array = np.empty(1, object)
    array[0] = value
    return array


def _pandas_objects(value: Any, in_map: bool) -> Any:
    return pd.Series(_one(value, in_map), dtype=object)


def _pandas(value: Any, _: bool) -> Any:
    series = pd.Series([value])
    if series.dtype == object:
        raise CannotExpressError
    return series


def _numpy(value: Any, _: bool) -> Any:
    if isinstance(value, bytes | bytearray | list):
        raise CannotExpressError
    array = np.array([value])
    if array.dtype == object:
        raise CannotExpressError
    return array


def _object(value: Any, _: bool) -> Any:
    return value


def _json(value: Any, _: bool) -> str:
    return json.dumps(_plain(value), allow_nan=False)


def _csv(value: Any, _: bool) -> str:
    if not isinstance(value, str | int | float | Decimal | dt.date | dt.timedelta | uuid.UUID):
        raise CannotExpressError
    return str(value)


def _objects_in_frame(value: Any, _: bool) -> Any:
    if isinstance(value, str):
        # A column of texts is read like one of a file.
        raise CannotExpressError
    return _pandas_objects(value, _)


def _in_parquet(value: Any, in_map: bool) -> pa.Array:
    array = _arrow(value, in_map)
    if pa.types.is_duration(array.type):
        # Parquet has no durations: a reader sees integers.
        raise CannotExpressError
    return array


def _parquet(key: str, column: pa.Array, path: Path) -> Path:
    pq.write_table(pa.table({"key": [key], "value": column}), path)
    return path


def _json_file(values: Mapping[str, str], path: Path) -> Path:
    path.write_text("\n".join(f'{{"key": "{k}", "value": {v}}}' for k, v in values.items()))
    return path


def _csv_file(values: Mapping[str, str], path: Path) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("key", "value"), *values.items()])
    return path


def _table(create: Callable[..., Any]) -> Callable[[str, Any, Path], Any]:
    return lambda key, column, _: create({"key": [key], "value": column})


STEPS: Final = {
    "row step": Stage.BY_ROW,
    **dict.fromkeys(
        ("list", "array of objects", "pandas objects", "NumPy", "pandas", "Arrow", "Polars"),
        Stage.BY_BATCH,
    ),
}
TABLES: Final[dict[str, Callable[[str, Any, Path], Any]]] = {
    "frame of objects": _table(pd.DataFrame),
    "pandas frame": _table(pd.DataFrame),
    "Arrow table": _table(pa.table),
    "Polars frame": _table(pl.DataFrame),
    "Parquet": _parquet,
    "SQL source": lambda key, sql, _: f"SELECT '{key}' AS key, {sql} AS value",
}
FILES: Final[dict[str, Callable[[Mapping[str, str], Path], Path]]] = {
    "JSON": _json_file,
    "CSV": _csv_file,
}
EXPRESS: Final[dict[str, Callable[[Any, bool], Any]]] = {
    "row step": _object,
    "list": lambda value, _: [value],
    "array of objects": _one,
    "pandas objects": _pandas_objects,
    "object": _object,
    "record": _object,
    "frame of objects": _objects_in_frame,
    "NumPy": _numpy,
    "pandas": _pandas,
    "Arrow": _arrow,
    "Polars": _polars,
    "pandas frame": _pandas,
    "Arrow table": _arrow,
    "Polars frame": _polars,
    "Parquet": _in_parquet,
    "JSON": _json,
    "CSV": _csv,
    "SQL step": _object,
    "SQL source": _object,
}

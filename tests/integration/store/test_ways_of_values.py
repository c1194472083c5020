"""A value is stored, or refused, in the same way by whatever way it reaches its field.

Steps and sources give values as Python's objects, or as columns of one type, or as text. Objects
have exactly their field's type. Columns can't mix types, so a number without a fraction may be a
float or a decimal there. Text is read in the formats of docs/loading.md.

Alike ways take turns: each value is given by one of them, and each of them is given some values.
With ``BATCHFLOW_FUZZ=2`` every value is given by every way.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from ways_kit import REFUSED, Result, can_express, ways_to

import batchflow as bf
from kit.effort import ALL_COMBINATIONS

DAY = dt.date(2024, 1, 2)
MIDNIGHT = dt.datetime(2024, 1, 2)  # noqa: DTZ001
NAIVE = dt.datetime(2024, 1, 2, 3)  # noqa: DTZ001
NOON = dt.datetime(2024, 1, 2, 12, tzinfo=dt.UTC)
KEY = uuid.UUID(int=5)
NAN = math.nan
BIG = 2**53 + 1

Money = Annotated[Decimal, bf.Precision(9, 2)]
Instant = Annotated[dt.datetime, bf.UTC]


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Other(enum.Enum):
    RED = "r"


@dataclass
class Part:
    size: int
    name: str | None = "part"
    tags: list[str] = field(default_factory=list)


OBJECTS = ("row step", "list", "array of objects", "pandas objects", "object")
RECORDS = ("record", "frame of objects")
COLUMNS = ("NumPy", "pandas", "Arrow", "Polars")
TABLES = ("pandas frame", "Arrow table", "Polars frame", "Parquet")

FULL = {"size": 2, "name": "a", "tags": ["b"]}


class Case:
    """A value, and what is stored of it: as an object, in a column, in a table, as text.

    Each takes the result of the one before if it isn't given; `records` and `columns` that of
    `objects`. `ways` has the result of single ways, with the reason beside it.
    """

    def __init__(
        self,
        given: Any,
        objects: Any,
        *,
        sql: str | None = None,
        ways: dict[str, Any] | None = None,
        **results: Any,
    ) -> None:
        records = results.get("records", objects)
        columns = results.get("columns", objects)
        tables = results.get("tables", columns)
        text = results.get("json", tables)
        self._expected = [
            (OBJECTS, given, objects),
            (RECORDS, given, records),
            (COLUMNS, given, columns),
            (TABLES, given, tables),
            (("JSON",), given, text),
            (("CSV",), given, results.get("csv", text)),
        ]
        if sql is not None:
            self._expected += [(("SQL step",), sql, columns), (("SQL source",), sql, tables)]
        self._ways = ways or {}

    def attempts(self, turn: int, in_map: bool) -> Iterator[tuple[str, Any, Any]]:
        """Yield each way, the value, and what is stored of it.

        Of alike ways, it is the one whose turn it is, and those with a result of their own.
        """
        for alike, value, result in self._expected:
            able = [way for way in alike if can_express(way, value, in_map)]
            for number, way in enumerate(able):
                if ALL_COMBINATIONS or way in self._ways or number == turn % len(able):
                    yield way, value, self._ways.get(way, result)


def refused(given: Any, **results: Any) -> Case:
    return Case(given, REFUSED, **results)


# NaN in these means that there is no value; Arrow, Polars and files have nulls for that.
GAPS = dict.fromkeys(
    ("list", "array of objects", "pandas objects", "NumPy", "pandas", "pandas frame",
     "frame of objects"),
)  # fmt: skip
# pandas doesn't distinguish NaN from None.
PANDAS_GAPS = dict.fromkeys(("pandas objects", "pandas", "pandas frame", "frame of objects"))
# Sources have UTC where they state no zone. Of a step, only the columns in which a batch has its
# times without their zone do.
OF_BATCH = {"NumPy": NAIVE.replace(tzinfo=dt.UTC), "pandas": NAIVE.replace(tzinfo=dt.UTC)}

CASES: dict[str, tuple[Any, Any, Sequence[Case]]] = {
    "bool": (bool, False, [
        Case(True, True, sql="true"),
        refused(1, json=True, sql="1"),
        refused("true", tables=True, sql="'true'"),
        refused(None, sql="NULL"),
    ]),
    "int": (int, 0, [
        Case(5, 5, sql="5"),
        Case(np.int8(5), 5, sql="5::TINYINT"),
        refused(5.0, columns=5, sql="5.0::DOUBLE"),
        refused(5.5, sql="5.5::DOUBLE"),
        refused(Decimal("5.00"), columns=5, sql="5.00"),
        refused(Decimal("5.50"), sql="5.50"),
        refused(2**63, sql="9223372036854775808"),
        refused(True, sql="true"),
        refused("5", tables=5, sql="'5'"),
        refused(NAN, sql="'nan'::DOUBLE"),
        refused(Colour.RED),
        refused(None),
    ]),
    "int or None": (int | None, 0, [
        Case(None, None, sql="NULL"),
        Case(pd.NA, None),
        refused(NAN, ways=GAPS, sql="'nan'::DOUBLE"),
    ]),
    "float": (float, 0.0, [
        Case(1.5, 1.5, sql="1.5::DOUBLE"),
        Case(5, 5.0, sql="5"),
        Case(NAN, NAN, sql="'nan'::DOUBLE"),
        Case(math.inf, math.inf),
        # The nearest float is what a text of a number means.
        refused(BIG, json=float(BIG), sql=str(BIG)),
        refused(Decimal("0.1"), columns=0.1, sql="0.1"),
        refused(True, sql="true"),
        refused("1.5", tables=1.5, sql="'1.5'"),
        refused(None, sql="NULL"),
    ]),
    "float or None": (float | None, 0.0, [
        Case(NAN, NAN, ways=PANDAS_GAPS, sql="'nan'::DOUBLE"),
        Case(None, None, sql="NULL"),
    ]),
    "Decimal": (Money, Decimal(0), [
        Case(Decimal("1.500"), Decimal("1.50"), sql="1.500"),
        refused(Decimal("1.555"), sql="1.555"),
        Case(7, Decimal("7.00"), sql="7"),
        refused(1.5, json=Decimal("1.50"), sql="1.5::DOUBLE"),
        refused("1.5", tables=Decimal("1.50"), sql="'1.5'"),
        refused(True, sql="true"),
        refused(None),
    ]),
    "str": (str, "", [
        Case("a", "a", sql="'a'"),
        # In JSON and CSV, a number for a text is the digits that are written.
        refused(5, json="5", sql="5"),
        refused(1.5, json="1.5", sql="1.5::DOUBLE"),
        # CSV has nothing but text.
        refused(True, csv="True", sql="true"),
        refused(DAY, csv="2024-01-02", sql="DATE '2024-01-02'"),
        refused(KEY, csv=str(KEY), sql="uuid()"),
        refused(b"a", sql="'a'::BLOB"),
        refused(NAN, csv="nan"),
        refused({"a": 1}),
        refused([1], sql="[1]"),
        refused(None, sql="NULL"),
    ]),
    "bytes": (bytes, b"", [
        Case(b"a", b"a", sql="'a'::BLOB"),
        Case(bytearray(b"a"), b"a"),
        refused("a", tables=b"a", sql="'a'"),
        refused(5, json=b"5", sql="5"),
        refused(None),
    ]),
    "date": (dt.date, DAY, [
        Case(DAY, DAY, sql="DATE '2024-01-02'"),
        # A column may have times because one of its values needs it.
        refused(MIDNIGHT, columns=DAY, sql="TIMESTAMP '2024-01-02'"),
        refused(NAIVE, sql="TIMESTAMP '2024-01-02 03:00:00'"),
        refused(NOON),
        refused("2024-01-02", tables=DAY, sql="'2024-01-02'"),
        refused(5, sql="5"),
    ]),
    "datetime": (dt.datetime, NAIVE, [
        Case(NAIVE, NAIVE, sql="TIMESTAMP '2024-01-02 03:00:00'"),
        refused(NOON, sql="TIMESTAMPTZ '2024-01-02 12:00:00+00'"),
        # NumPy has no dates, but times in days.
        refused(DAY, csv=MIDNIGHT, ways={"NumPy": MIDNIGHT}, sql="DATE '2024-01-02'"),
        refused("2024-01-02", tables=MIDNIGHT, sql="'2024-01-02'"),
        refused(pd.NaT),
    ]),
    "UTC": (Instant, NOON, [
        Case(NOON, NOON, sql="TIMESTAMPTZ '2024-01-02 12:00:00+00'"),
        refused(
            NAIVE,
            tables=NAIVE.replace(tzinfo=dt.UTC),
            ways=OF_BATCH,
            sql="TIMESTAMP '2024-01-02 03:00:00'",
        ),
        refused(DAY, csv=MIDNIGHT.replace(tzinfo=dt.UTC), sql="DATE '2024-01-02'"),
        refused("2024-01-02T12:00:00Z", tables=NOON, sql="'2024-01-02T12:00:00Z'"),
    ]),
    "timedelta": (dt.timedelta, dt.timedelta(0), [
        Case(dt.timedelta(1), dt.timedelta(1), sql="INTERVAL 1 DAY"),
        refused(5, sql="5"),
        refused("1 day", tables=dt.timedelta(1), sql="'1 day'"),
    ]),
    "UUID": (uuid.UUID, KEY, [
        Case(KEY, KEY, sql=f"'{KEY}'::UUID"),
        # Frames have 16 bytes for a UUID.
        refused(KEY.bytes, columns=KEY),
        refused(b"a", sql="'a'::BLOB"),
        refused(str(KEY), tables=KEY, sql=f"'{KEY}'"),
    ]),
    "enum": (Colour, Colour.BLUE, [
        Case(Colour.RED, Colour.RED, sql="'RED'"),
        refused("RED", records=Colour.RED, columns=Colour.RED),
        refused("r", sql="'r'"),
        refused(5, sql="5"),
        # Columns and text have only its name.
        refused(Other.RED, columns=Colour.RED, ways={"NumPy": REFUSED}),
    ]),
    "dataclass": (Part, Part(1), [
        Case(Part(2, "a", ["b"]), Part(2, "a", ["b"]),
             sql="{'size': 2, 'name': 'a', 'tags': ['b']}"),
        refused(FULL, records=Part(**FULL), columns=Part(**FULL)),
        refused({**FULL, "size": 2.0}, columns=Part(**FULL)),
        refused({**FULL, "size": "2"}, tables=Part(**FULL)),
        refused({**FULL, "size": None}),
        refused({**FULL, "other": 1}),
        refused({**FULL, "other": None}),
        # A source may leave out what has a default. A step replaces the whole value.
        refused({"size": 2}, records=Part(2), columns=REFUSED, tables=Part(2)),
        refused({"size": 2, "name": None}, records=Part(2, None), tables=Part(2, None)),
        refused({"name": "a"}),
        refused({"size": 2, "tags": None}),
        refused(None),
    ]),
    "list of ints": (list[int], [], [
        Case([1], [1], sql="[1]"),
        refused([1.0], columns=[1], sql="[1.0::DOUBLE]"),
        refused([1.5], sql="[1.5::DOUBLE]"),
        refused([True], sql="[true]"),
        refused([None], sql="[NULL]::INTEGER[]"),
        refused(["1"], tables=[1], sql="['1']"),
        refused(5, sql="5"),
        Case([], []),
    ]),
    "list of texts": (list[str], [], [
        Case(["a"], ["a"], sql="['a']"),
        refused([1], json=["1"], sql="[1]"),
        refused([True], sql="[true]"),
        refused([None], sql="[NULL]::VARCHAR[]"),
        refused("a", sql="'a'"),
    ]),
    "list of floats": (list[float], [], [
        Case([1.5], [1.5], sql="[1.5::DOUBLE]"),
        Case([1], [1.0], sql="[1]"),
        Case([NAN], [NAN], sql="['nan'::DOUBLE]"),
        refused([Decimal("0.1")], columns=[0.1]),
        refused([BIG], json=[float(BIG)], sql=f"[{BIG}]"),
    ]),
    "list of UTC": (list[Instant], [], [
        Case([NOON], [NOON]),
        refused(
                [NAIVE],
                tables=[NAIVE.replace(tzinfo=dt.UTC)],
                sql="[TIMESTAMP '2024-01-02 03:00:00']",
            ),
    ]),
    "list of members": (list[Colour], [], [
        Case([Colour.RED], [Colour.RED]),
        refused(["RED"], records=[Colour.RED], columns=[Colour.RED]),
        refused(["r"]),
    ]),
    "dict of ints": (dict[str, int], {}, [
        Case({"a": 1}, {"a": 1}),
        refused({"a": 1.0}, columns={"a": 1}),
        refused({"a": 1.5}),
        refused({"a": None}),
        Case({}, {}),
    ]),
    "dict of dataclasses": (dict[str, Part], {}, [
        Case({"a": Part(2, "a", ["b"])}, {"a": Part(2, "a", ["b"])}),
        refused({"a": FULL}, records={"a": Part(**FULL)}, columns={"a": Part(**FULL)}),
        refused({"a": {"size": 2}}, records={"a": Part(2)}, columns=REFUSED,
                tables={"a": Part(2)}),
        refused({"a": {**FULL, "other": 1}}),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_a_value_is_stored_or_refused_alike_by_every_way(kind: str, tmp_path: Path) -> None:
    field_type, before, cases = CASES[kind]
    in_map = isinstance(before, dict)
    attempts = [each for turn, case in enumerate(cases) for each in case.attempts(turn, in_map)]
    with ways_to(field_type, before, tmp_path) as ways:
        found = ways.results([(way, value) for way, value, _ in attempts])
    different = [
        f"{value!r} by {way}: {result!r} instead of {expected!r}"
        for (way, value, expected), result in zip(attempts, found, strict=True)
        if result is not Result.IMPOSSIBLE and repr(result) != repr(expected)
    ]
    assert not different, "\n".join(different)

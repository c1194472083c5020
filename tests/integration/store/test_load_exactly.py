"""A file is stored as it is written, whatever lies beside it, above it, or in its other rows."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import opened

from batchflow.definition.fields import UTC, Precision
from batchflow.errors import InvalidRowsError, SourceError
from batchflow.store.schema.layout import quote

Money = Annotated[Decimal, Precision(20, 2)]


@dataclass
class Inner:
    money: Money
    text: str | None = None


@dataclass
class Record:
    key: str
    number: int | None = None
    money: Money | None = None
    text: str | None = None
    day: dt.date | None = None
    at: Annotated[dt.datetime, UTC] | None = None
    span: dt.timedelta | None = None
    flags: list[bool] | None = None
    ids: list[UUID] | None = None
    inner: Inner | None = None
    inners: dict[str, Inner] | None = None
    currency: str | None = "EUR"
    tags: list[str] = field(default_factory=lambda: ["new"])


def stored(source: Any, *columns: str) -> list[Any]:
    with opened(Record) as loader:
        loader.load(source, foreign_id="key")
        listed = ", ".join(map(quote, columns))
        rows = loader.query(f"SELECT {listed} FROM items.runs ORDER BY foreign_id")
    return [tuple(row.values()) if len(columns) > 1 else row[columns[0]] for row in rows]


def parquet(path: Path, **columns: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)


def text_file(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("column", "values", "beside", "expected"),
    [
        ("number", pa.array([2**53 + 1]), pa.array([None], pa.float64()), 2**53 + 1),
        (
            "money",
            pa.array([Decimal("1234567890123456.78")]),
            pa.array([None], pa.float32()),
            Decimal("1234567890123456.78"),
        ),
    ],
)
def test_the_types_of_another_file_change_no_value(
    tmp_path: Path, column: str, values: pa.Array, beside: pa.Array, expected: object
) -> None:
    parquet(tmp_path / "a.parquet", key=["a"], **{column: values})
    parquet(tmp_path / "b.parquet", key=["b"], **{column: beside})

    assert stored(tmp_path / "*.parquet", column)[0] == expected


@pytest.mark.parametrize(
    ("column", "values", "beside"),
    [
        ("money", pa.array([Decimal("1.50")]), pa.array([1.5], pa.float32())),
        ("text", pa.array(["7"]), pa.array([3])),
    ],
)
def test_a_file_with_values_of_another_type_is_refused_by_name(
    tmp_path: Path, column: str, values: pa.Array, beside: pa.Array
) -> None:
    parquet(tmp_path / "a.parquet", key=["a"], **{column: values})
    parquet(tmp_path / "b.parquet", key=["b"], **{column: beside})

    with pytest.raises((SourceError, InvalidRowsError), match=rf"b\.parquet.*'{column}'"):
        stored(tmp_path / "*.parquet", "key")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_folder_only_gives_the_fields_that_a_file_lacks(tmp_path: Path, suffix: str) -> None:
    for folder, row in (
        ("number=5", {"key": "a", "number": 1}),
        ("number=6", {"key": "b"}),
        ("number=__HIVE_DEFAULT_PARTITION__", {"key": "c"}),
        ("Day=2024-01-31", {"key": "d"}),
        ("text=a%20b", {"key": "e"}),
        ("other=1", {"key": "f"}),
        ("key=g", {"key": "g"}),
    ):
        path = tmp_path / folder / f"x.{suffix}"
        if suffix == "parquet":
            parquet(path, **{name: [value] for name, value in row.items()})
        elif suffix == "csv":
            text_file(path, f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
        else:
            text_file(path, json.dumps(row))

    found = stored(tmp_path / "*" / f"x.{suffix}", "key", "number", "day", "text")

    day = dt.date(2024, 1, 31)
    assert found == [
        ("a", 1, None, None),
        ("b", 6, None, None),
        ("c", None, None, None),
        ("d", None, day, None),
        ("e", None, None, "a b"),
        ("f", None, None, None),
        ("g", None, None, None),
    ]


def test_a_folder_whose_value_does_not_fit_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "number=five" / "a.parquet", key=["a"])

    with pytest.raises(InvalidRowsError, match="column 'number' doesn't fit int"):
        stored(tmp_path / "number=five" / "a.parquet", "key")


def test_a_column_that_one_file_lacks_takes_its_default_and_is_reported(tmp_path: Path) -> None:
    text_file(tmp_path / "a.csv", "key\na1\na2\n")
    text_file(tmp_path / "b.csv", 'key,currency,tags\nb1,USD,"[""old""]"\nb2,,[]\n')
    with opened(Record) as loader:
        report = loader.load(tmp_path / "*.csv", foreign_id="key")

        assert loader.column("currency") == ["EUR", "EUR", "USD", None]
        assert loader.column("tags") == [["new"], ["new"], ["old"], []]
    assert [("currency" in each.columns, "tags" in each.columns) for each in report.filled] == [
        (True, True),
        (False, False),
    ]
    assert re.search(r"filled with defaults: number, .*currency, tags in '.*a\.csv'", str(report))


def test_the_file_that_lacks_a_required_column_is_named(tmp_path: Path) -> None:
    text_file(tmp_path / "a.csv", "key,number\na,1\n")
    text_file(tmp_path / "b.csv", "name,number\nb,1\n")

    with pytest.raises(SourceError, match=r"b\.csv' has .*no column for 'key'"):
        stored(tmp_path / "*.csv", "key")


CSV: dict[str, tuple[str | bytes, list[Any]]] = {
    "ids with a hash": ("key,text\n1,a\n#2,b\n3,#c\n", [("#2", "b"), ("1", "a"), ("3", "#c")]),
    "an empty first line": ("\nkey,text\n1,a\n", [("1", "a")]),
    "empty first lines, CRLF": ("\r\n  \r\nkey,text\r\n1,a\r\n", [("1", "a")]),
    "empty lines between": ("key,text\n\n1,a\n\n", [("1", "a")]),
    "one column": ("key\n\n1\n\n", [("1", None)]),
    "a mark of UTF-8": (b"\xef\xbb\xbfkey,text\n1,\xc3\xa9\n", [("1", "é")]),
    "only a header": ("key,text\n", []),
    "only a header, without its end": ("key,text", []),
    "a quoted line end": ('key,text\r\n1,"a\nb"\r\n', [("1", "a\nb")]),
    "a quoted header with a line end": ('key,"te\nxt",text\n1,a,b\n', [("1", "b")]),
    "empty and missing": ('key,text\n1,""\n2,\n', [("1", ""), ("2", None)]),
    "single quotes": ("key,text\n1,'a'\n2,'b'\n", [("1", "'a'"), ("2", "'b'")]),
    "backslashes": ('key,text\n1,"a\\"\n2,"b\\n"\n', [("1", "a\\"), ("2", "b\\n")]),
    "semicolons in values": ("key,text\n1,a;b\n2,c;d\n", [("1", "a;b"), ("2", "c;d")]),
    "a header of another delimiter": ("key|text\n1|a,b\n", [("1", "a,b")]),
    "spaces around": ("key,text\n 1 , a \n", [(" 1 ", " a ")]),
    "a space before quotes": (
        '"key", "text" \n1, "a, b"\n"2" ,"c"  \n',
        [("1", "a, b"), ("2", "c")],
    ),
    "spaces before quotes": ('key,text\n1,  "a"\n', [("1", '  "a"')]),
    "words for NULL": ("key,text\n1,NULL\n2,\\N\n", [("1", "NULL"), ("2", "\\N")]),
}


@pytest.mark.parametrize("kind", CSV)
def test_a_csv_file_is_read_as_it_is_written(kind: str, tmp_path: Path) -> None:
    text, expected = CSV[kind]

    assert stored(text_file(tmp_path / "a.csv", text), "foreign_id", "text") == expected


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "a cell too few": ("key,text\n1,a\n2\n", "line 3 has 1 cell, but the header has 2"),
    "a cell too many": ("key,text\n1,a,b\n", "line 2 has 3 cells, but the header has 2"),
    "control-Z": ("key,text\n1,a\n\x1a", "line 3 has 1 cell"),
    "mixed line ends": ("key,text\r\n1,a\r\n2,b\n", "line ends differ"),
    "mixed line ends before the header": ("\n\r\nkey,text\n1,a\n", "line ends differ"),
    "UTF-16": ("key,text\n1,a\n".encode("utf-16"), "encoded in UTF-16"),
    "UTF-16 without a mark": ("key,text\n1,a\n".encode("utf-16-le"), "encoded in UTF-16"),
    "Latin 1": ("key,text\n1,\xe9\n".encode("latin-1"), "line 2 isn't encoded in UTF-8"),
    "an open quote": ('key,text\n1,"a\n', "line 2 isn't closed"),
    "nothing": ("", "is empty: it has 0 bytes. Write it again"),
    "empty lines": ("\n\n", "has no header"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_csv_file_that_is_broken_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    text, problem = BROKEN[kind]

    with pytest.raises(SourceError, match=re.escape(problem)) as caught:
        stored(text_file(tmp_path / "a.csv", text), "text")
    assert "a.csv" in str(caught.value)


DIGITS = ["90071992547409.93", "1234567890123456.78", "0.10", "-1e2", "12"]


@pytest.mark.parametrize("digits", DIGITS)
def test_json_numbers_are_read_with_the_digits_that_are_written(
    digits: str, tmp_path: Path
) -> None:
    inner = f'{{"money": {digits}, "text": "x 5 \\" 6\\n"}}'
    line = f'"money": {digits}, "inner": {inner}, "inners": {{"k": {inner}}}, "text": {digits}'
    text = f'{{"key": "1.50", {line}}}\n{{"key": 2, "text": "7"}}\n'.replace(" -1e2", " -100")
    digits = digits.replace("-1e2", "-100")

    found = stored(
        text_file(tmp_path / "a.jsonl", text), "foreign_id", "money", "inner", "inners", "text"
    )

    expected = {"money": Decimal(digits), "text": 'x 5 " 6\n'}
    assert found[0] == ("1.50", Decimal(digits), expected, [("k", expected)], digits)
    assert found[1] == ("2", None, None, None, "7")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"key": "a"}\n5\n', "a record that isn't a JSON object"),
        ('{"key": "a", "key": "b"}\n', "a key that occurs twice"),
        ('{"key": "a"}\n{"Key": "b"}\n', "'Key', 'key', which SQL can't distinguish"),
    ],
)
def test_a_json_file_that_is_ambiguous_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=problem):
        stored(text_file(tmp_path / "a.jsonl", text), "key")


@pytest.mark.parametrize("nested", ['{"x" : 1.50}', "[]"])
def test_an_object_or_a_list_is_no_text(nested: str, tmp_path: Path) -> None:
    records = f'{{"key": "a", "text": "[]"}}\n{{"key": "b", "text": {nested}}}\n'

    with pytest.raises(InvalidRowsError, match=r"'text' doesn't fit str .*row 2: 'b'"):
        stored(text_file(tmp_path / "a.jsonl", records), "key")


SMALL = [("0.01", "0.01"), ("1e2", "100"), ("-1.50E-1", "-0.15"), ("0.001", None), ("1e-400", None)]


@pytest.mark.parametrize(("written", "value"), SMALL)
def test_a_json_number_has_the_same_fate_beside_any_other(
    written: str, value: str | None, tmp_path: Path
) -> None:
    for beside in ("1", "12345678901234567890"):
        record = f'{{"key": 1.50, "money":{written}, "number": 1e1, "text": {beside}}}'
        with opened(Record) as loader:
            path = text_file(tmp_path / "a.jsonl", record)
            loader.load(path, foreign_id="key", on_invalid="skip")

            assert loader.column("money") == ([] if value is None else [Decimal(value)])
            rejected = [row["record"] for row in loader.query("FROM batchflow.rejected")]
            assert rejected == ([record] if value is None else [])


def test_the_record_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = text_file(tmp_path / "a.jsonl", '{"key": "a"}\n{"key": "b",,}\n')

    with pytest.raises(SourceError, match=r"record 2 isn't valid JSON: unexpected character"):
        stored(path, "key")


def test_a_number_with_an_exponent_is_exact_within_a_document(tmp_path: Path) -> None:
    path = text_file(tmp_path / "a.jsonl", '{"key": "a", "inner": {"money": 1.5e1}}')
    assert stored(path, "inner") == [{"money": Decimal(15), "text": None}]


def test_json_within_csv_keeps_its_escapes_and_digits(tmp_path: Path) -> None:
    inner = '{"money": 1234567890123456.78, "text": "line\\nnext \\u00e9 \\"q\\""}'
    quoted = inner.replace('"', '""')
    text_file(tmp_path / "a.csv", f'key,inner,inners\na,"{quoted}","{{""k"": {quoted}}}"\n')

    [(found, within)] = stored(tmp_path / "a.csv", "inner", "inners")

    expected = {"money": Decimal("1234567890123456.78"), "text": 'line\nnext é "q"'}
    assert (found, within) == (expected, [("k", expected)])


@pytest.mark.parametrize("text", ['[["true"]]', "5", '{"a": 1}', "[[true]]", "[1, [2]]"])
def test_nested_text_of_another_shape_is_refused(text: str, tmp_path: Path) -> None:
    quoted = text.replace('"', '""')
    text_file(tmp_path / "a.csv", f'key,flags\na,"{quoted}"\n')

    with pytest.raises(InvalidRowsError, match="column 'flags'"):
        stored(tmp_path / "a.csv", "key")


def test_nested_booleans_and_uuids_of_parquet_are_loaded(tmp_path: Path) -> None:
    one = UUID(int=5)
    ids = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([one.bytes], pa.uuid()))
    unused = pa.array([{"deleted": True}])
    parquet(tmp_path / "a.parquet", key=["a"], flags=[[True, False]], ids=ids, unused=unused)

    assert stored(tmp_path / "a.parquet", "flags", "ids") == [([True, False], [one])]


def test_nanoseconds_are_loaded_if_they_are_whole_microseconds(tmp_path: Path) -> None:
    def source(nanoseconds: int, kind: str) -> Any:
        times = pa.array([nanoseconds], pa.timestamp("ns", "Europe/Berlin"))
        table = pa.table({"key": ["a"], "at": times})
        if kind == "arrow":
            return table
        pq.write_table(
            table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=kind == "int96"
        )
        return tmp_path / "a.parquet"

    whole = dt.datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
    for kind in ("arrow", "parquet"):
        assert stored(source(1704110400123456000, kind), "at") == [whole]
        with pytest.raises(InvalidRowsError, match="column 'at'"):
            stored(source(1704110400123456001, kind), "at")


def test_times_of_the_type_int96_are_loaded_exactly_or_refused(tmp_path: Path) -> None:
    @dataclass
    class Timed:
        key: str
        at: dt.datetime

    for nanoseconds in (1704110400123456000, 1704110400123456001):
        table = pa.table({"key": ["a"], "at": pa.array([nanoseconds], pa.timestamp("ns"))})
        path = tmp_path / f"{nanoseconds}.parquet"
        pq.write_table(table, path, use_deprecated_int96_timestamps=True)

    with opened(Timed) as loader:
        loader.load(tmp_path / "1704110400123456000.parquet", foreign_id="key")
        assert loader.column(quote("at"))[0].microsecond == 123456
        with pytest.raises(SourceError, match="times with nanoseconds in column 'at'"):
            loader.load(tmp_path / "1704110400123456001.parquet", foreign_id="key")


GOOD_TIMES = {
    "day": "2024-02-29|2024-02-29 00:00:00",
    "at": "2024-01-05|2024-01-05T10:00|2024-01-05 10:00:00.1234560+02:30|2024-01-05T10:00:00Z|"
    "2024-01-05T10:00:00-0230",
    "span": "3 days|3 days, 2:00:00|-1 day +02:00:00|100:00:00.000001|5 minutes|P3DT2H|PT1.5S|"
    "PT-6H|P1W|1 hour 30 minutes",
}
BAD_TIMES = {
    "day": "2024-2-29|2023-02-29|12024-01-01|2024-01-01T01:00|1:2|infinity",
    "at": "2024-01-05T10:00:00+99:99|2024-01-05T10:00:00+24:00|2024-01-05T10:00:00+02:60|"
    "2024-01-05T10:00:00.1234567Z|2024-01-05T24:00|2024-01-05T1:00|10:00",
    "span": "1:2:3:4|00:00:00.1234567|0.1 microseconds|1 month|P1M|1:60:00|2:00|5|P|PT|1.5 days",
}


@pytest.mark.parametrize("column", GOOD_TIMES)
def test_times_are_read_in_the_documented_formats_only(column: str, tmp_path: Path) -> None:
    good, bad = (texts[column].split("|") for texts in (GOOD_TIMES, BAD_TIMES))
    rows = "".join(f'{n:02},"{text}"\n' for n, text in enumerate([*good, *bad]))
    with opened(Record) as loader:
        source = text_file(tmp_path / "a.csv", f"key,{column}\n{rows}")
        loader.load(source, foreign_id="key", on_invalid="skip")

        assert loader.column("foreign_id") == [f"{n:02}" for n in range(len(good))]


def test_a_row_that_does_not_fit_is_named_with_its_file(tmp_path: Path) -> None:
    text_file(tmp_path / "a.csv", "key,number\na,1\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"key,number\nb,1\n\nc,x\n"))

    with pytest.raises(InvalidRowsError, match=r"b\.csv\.gz' has rows .*row 2: 'c'"):
        stored(tmp_path / "*.csv*", "key")

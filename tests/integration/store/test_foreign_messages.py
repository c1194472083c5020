"""Messages of DuckDB and Arrow are passed on without the values that they quote."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pyarrow as pa
import pytest

from batchflow.store.database.duckdb_message import cause, message_of

SECRET = "hunter2 'x' \"y\""


class Shown:
    def __repr__(self) -> str:
        return f"<card={SECRET}, with type str>"


def conflicting_commits() -> None:
    with duckdb.connect() as one:
        one.execute("CREATE TABLE keys (key VARCHAR PRIMARY KEY)")
        other = one.cursor()
        for cursor in (one, other):
            cursor.begin()
            cursor.execute("INSERT INTO keys VALUES (?)", [SECRET])
        one.commit()
        other.commit()


def selected(expression: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SELECT {expression} FROM (VALUES (?)) t(x)", [SECRET]).fetchall()


FAILING: dict[str, tuple[Callable[[], object], str]] = {
    "a key at a commit": (conflicting_commits, "constraint violation"),
    "a zone": (lambda: selected("now() AT TIME ZONE x"), "Unknown TimeZone"),
    "a number": (lambda: selected("x::INT"), "a value can't be converted to INT32"),
    "a list": (lambda: selected("x::INT[]"), "a value can't be converted"),
    "an object": (lambda: pa.array([1, Shown()]), "Could not convert … with type Shown"),
    "a text": (lambda: pa.array([1, SECRET]), "tried to convert to int64"),
    "a cast": (lambda: pa.array([SECRET]).cast(pa.int64()), "as a scalar of type int64"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_value_is_not_shown_but_what_is_wrong_with_it(kind: str) -> None:
    fail, expected = FAILING[kind]

    with pytest.raises((duckdb.Error, pa.ArrowException)) as caught:
        fail()

    assert "hunter2" in str(caught.value)
    assert expected in message_of(caught.value)
    assert "hunter2" not in message_of(caught.value)
    assert cause(caught.value) is None
    assert "hunter2" in message_of(caught.value, values=True)


def test_errors_about_a_statement_are_shown_whole() -> None:
    with pytest.raises(duckdb.BinderException) as caught:
        selected("y")

    assert message_of(caught.value).startswith('Referenced column "y" not found')
    assert cause(caught.value) is caught.value


def test_an_error_of_an_unknown_kind_is_named_only() -> None:
    assert message_of(duckdb.Error(f"Novel Error: {SECRET}")) == (
        "a value isn't accepted (Novel Error)"
    )


def test_the_file_that_a_commit_could_not_write_is_named() -> None:
    refused = duckdb.TransactionException(
        'TransactionContext Error: Failed to commit: Could not write file "/data/a.duckdb.wal": '
        "No space left on device"
    )
    assert "/data/a.duckdb.wal" in message_of(refused)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            duckdb.OutOfMemoryException("Out of Memory Error: no block\n\nPossible solutions:\n*"),
            "no block (EngineConfig(memory_limit=…) raises the limit)",
        ),
        (
            duckdb.BinderException('Binder Error: Too deep. Use "SET max_depth TO x" to go on.'),
            "Too deep.",
        ),
        (
            duckdb.InvalidInputException(
                "Invalid Input Error: Parameter argument/count mismatch, identifiers of the excess "
                "parameters: 2"
            ),
            "Parameter argument/count mismatch, identifiers of the excess parameters: 2",
        ),
    ],
)
def test_advice_that_cannot_be_followed_is_replaced(error: duckdb.Error, shown: str) -> None:
    assert message_of(error) == shown


@pytest.mark.parametrize(
    "found",
    [
        "File 'a.parquet' is encrypted, but 'encryption_config' was not set",
        "File is encrypted but no file crypto metadata is set",
        'Failed to read file "a.parquet": Invalid dictionary page header',
        'Failed to read Parquet file "a.parquet": schema element has no children',
        "Parquet file (a.parquet) corrupted: uncompressed page size mismatch",
        "Parquet file has invalid number of miniblocks per block for DELTA_BINARY_PACKED",
        "Int96 timestamp is out of range",
        "Geoparquet column 'geometry' does not have geometry types",
    ],
)
def test_what_is_wrong_with_a_parquet_file_is_shown(found: str) -> None:
    assert message_of(duckdb.InvalidInputException(f"Invalid Input Error: {found}")) == found


@pytest.mark.parametrize("file", ['Parquet file "a.parquet"', "Parquet file"])
def test_a_text_of_a_parquet_file_is_not_shown_if_it_is_no_utf_8(file: str) -> None:
    found = f'Invalid string encoding found in {file}: value "{SECRET}" is not valid UTF8!'
    for text in (found, f'Failed to read file "a.parquet": {found}'):
        shown = message_of(duckdb.InvalidInputException(f"Invalid Input Error: {text}"))
        assert shown in ("a text isn't encoded in UTF-8", "a value isn't accepted")

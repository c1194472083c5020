"""Queries made of DuckDB's functions and statements: none changes the store or shows a setting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.errors import BatchflowError
from kit.effort import examples
from kit.things import load, things

# Appears in the settings of the store's instance, and nowhere in the store.
MEMORY_LIMIT = "321.0 MiB"
SECRET = "hunter2"
DELETING = "WITH x AS (DELETE FROM things.runs RETURNING seq) FROM x"


def _names(*kinds: str) -> list[str]:
    found = duckdb.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE list_contains(?, function_type) AND function_name SIMILAR TO '[a-z_0-9]+'",
        [list(kinds)],
    ).fetchall()
    return sorted(name for (name,) in found)


CONSTANTS = st.sampled_from(
    [
        *("1", "-2", "0.5", "NULL", "'a'", "'memory_limit'", "'SELECT 1'", "'{file}'", "[1, 2]"),
        *("true", "'things.runs'", "TIMESTAMP '2030-01-01'", "number", "status", "{{'a': 1}}"),
    ]
)
SCALARS = st.sampled_from(_names("scalar", "aggregate", "macro"))
TABLES = st.sampled_from(_names("table", "table_macro", "pragma"))
CALLS = st.recursive(
    CONSTANTS,
    lambda inner: st.builds(
        lambda name, arguments: f"{name}({', '.join(arguments)})",
        SCALARS,
        st.lists(inner, max_size=3),
    ),
    max_leaves=4,
)
WRITES = st.sampled_from(
    [
        "DELETE FROM things.runs",
        "UPDATE things.runs SET number = 1",
        "INSERT INTO things.runs (seq) VALUES (99)",
        "COPY things.runs TO '{file}'",
        "ATTACH '{file}'",
        "CREATE TABLE t AS SELECT 1",
        "CHECKPOINT",
        "CALL checkpoint()",
        "SET memory_limit = '1GB'",
        "PRAGMA database_size",
        "EXPORT DATABASE '{file}'",
    ]
)
SOURCES = st.one_of(
    st.just("things.runs"),
    st.just("'{file}'"),
    st.builds(lambda name, value: f"{name}({value})", TABLES, CONSTANTS),
)
QUERIES = st.one_of(
    st.builds(lambda call, source: f"SELECT {call} FROM {source} LIMIT 3", CALLS, SOURCES),
    st.builds(lambda call: f"SELECT {call} FROM things.runs LIMIT 3", CALLS),
    st.builds(lambda write: f"WITH x AS ({write} RETURNING *) FROM x", WRITES),
    st.builds(lambda write: f"EXPLAIN ANALYZE {write}", WRITES),
    WRITES,
    st.builds("SELECT 1; {}".format, WRITES),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    folder = tmp_path_factory.mktemp("queried")
    (folder / "secret.csv").write_text(f"secret\n{SECRET}\n")
    config = bf.EngineConfig(memory_limit="321MiB", query_timeout_seconds=5)
    with bf.Engine(folder / "things.duckdb", things(), workers=0, config=config) as opened:
        load(opened, 5)
        yield opened


def contents(engine: bf.Engine) -> list[Any]:
    tables = engine.sql("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    return [
        sorted(map(str, engine.sql(f'FROM "{schema}"."{table}"').fetchall()))
        for schema, table in sorted(tables)
    ]


@examples(20)
@example(query="SELECT Current_Setting/* */('memory_limit')")
@example(query=f"FROM json_execute_serialized_sql(json_serialize_sql('{DELETING}'))")
@given(query=QUERIES)
def test_no_query_changes_the_store_or_shows_a_setting(engine: bf.Engine, query: str) -> None:
    folder = Path(engine.path).parent
    before, files = contents(engine), {each.name for each in folder.iterdir()}
    text = query.format(file=folder / "secret.csv")
    try:
        shown = str(bf.connect(engine.path).sql(text).fetchall())
    except BatchflowError as error:
        shown = str(error)

    assert MEMORY_LIMIT not in shown
    assert SECRET not in shown
    assert contents(engine) == before
    assert {each.name for each in folder.iterdir()} <= files

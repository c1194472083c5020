"""SQL from a caller is decided on DuckDB's parse tree, wherever it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from loading_kit import opened
from store_kit import Bench, sql_parcels

from batchflow.errors import BatchflowError, DefinitionError, QueryError, SourceError
from batchflow.store.query import permitted
from batchflow.store.query.permission import require_reading

LISTS: Final = Path(__file__).parent / "duckdb_functions"
COLLATIONS: Final = ("collate_", "icu_collate_")

DELETING: Final = "WITH x AS (DELETE FROM parcels.runs RETURNING seq) FROM x"
HOSTILE: Final = {
    "serialized": f"FROM json_execute_serialized_sql(json_serialize_sql('{DELETING}'))",
    "deletes": DELETING,
    "folds the log": "FROM checkpoint()",
    "folds the log by force": "FROM force_checkpoint('store')",
    "sequence": "SELECT nextval('s')",
    "sleeps": "SELECT pg_sleep(60)",
    "sleeps while it is bound": "FROM range(sleep_ms(60_000))",
    "setting": "SELECT current_setting/* now */('memory_limit')",
    "setting, quoted": "SELECT system.main.\"CURRENT_SETTING\"('memory_limit')",
    "setting, as a method": "SELECT 'memory_limit'.current_setting()",
    "settings": "FROM duckdb_settings()",
    "settings, as a view": 'FROM "PG_Settings"',
    "setting, in a lambda": "SELECT list_transform(['memory_limit'], lambda x: current_setting(x))",
    "setting, in a window": "SELECT count(current_setting('TimeZone')) OVER () FROM range(1)",
    "setting, in a limit": "FROM range(3) LIMIT length(current_setting('TimeZone'))",
    "setting, shown": "SELECT * FROM (SHOW memory_limit)",
    "variables, shown": "FROM (SHOW VARIABLES)",
    "variable": "SELECT getvariable('x')",
    "text": "FROM query('SELECT 1')",
    "text as a table": "FROM query_table('parcels.runs')",
    "macro over a text": "FROM histogram('pg_settings', name)",
    "plan of a text": "SELECT json_serialize_plan('SELECT 1')",
    "log": "SELECT write_log('x')",
    "logs": "FROM duckdb_logs",
    "secrets": "FROM duckdb_secrets()",
    "grammar": "FROM add_grammar_extension('x', 'y')",
    "internal": "SELECT __internal_compress_integral_utinyint(1, 2)",
}


def names_in(file: str) -> set[str]:
    lines = (LISTS / file).read_text().splitlines()
    return {name for line in lines if not line.startswith("# ") for name in line.split()}


def installed(*kinds: str) -> set[str]:
    found = duckdb.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE list_contains(?, function_type)",
        [list(kinds)],
    ).fetchall()
    return {name for (name,) in found}


def test_each_function_of_the_installed_duckdb_is_decided_on() -> None:
    found = installed("scalar", "aggregate", "window", "macro")
    computing = {
        name
        for name in found
        if name not in permitted.REFUSED_FUNCTIONS
        and not name.startswith((permitted.INTERNAL_PREFIX, *COLLATIONS))
        # Operators, which have no name of one word.
        and " " not in name
    }

    assert computing == names_in("harmless_functions.txt")
    for name in sorted(found & set(permitted.REFUSED_FUNCTIONS)):
        with pytest.raises(QueryError, match="which"):
            require_reading(f'SELECT "{name}"()')


def test_each_table_function_and_view_of_the_installed_duckdb_is_decided_on() -> None:
    readable = permitted.SOURCE.table_functions
    found = installed("table", "table_macro")
    assert readable <= found
    assert (found - readable - set(permitted.REFUSED_FUNCTIONS)) == names_in(
        "unreadable_functions.txt"
    )

    views = duckdb.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
    of_duckdb = {name for (name,) in views if name.startswith(permitted.SYSTEM_PREFIXES)}
    assert of_duckdb - permitted.PERMITTED_VIEWS == {
        *("duckdb_logs", "pg_settings", "pg_prepared_statements"),
    }


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_sql_is_refused_before_duckdb_binds_it(kind: str, bench: Bench) -> None:
    bench.seed(2)
    query = HOSTILE[kind]
    within = f"EXISTS ({query})"
    refused: list[Callable[[], Any]] = [
        lambda: bench.questions.sql(query),
        lambda: bench.questions.sql(f"EXPLAIN ANALYZE {query}"),
        lambda: bench.questions.runs(within),
        lambda: bench.questions.runs().filter(within).fetchall(),
        lambda: bench.questions.runs().select(f"({query})").fetchall(),
        lambda: bench.questions.runs().order(f"({query})").fetchall(),
        lambda: bench.questions.runs().aggregate(f"({query})").fetchall(),
        lambda: bench.questions.cancel(within),
        lambda: bench.questions.edit("true", set={"label": f"({query})"}),
    ]

    for call in refused:
        with pytest.raises(QueryError):
            call()

    assert bench.rows("count(*)") == [(2,)]
    assert set(bench.rows("run_state::VARCHAR, label")) == {("INITIATED", "none")}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_step_in_sql_is_refused_when_the_store_is_opened(
    kind: str, open_bench: Callable[..., Bench]
) -> None:
    with pytest.raises(DefinitionError, match="can't be executed"):
        open_bench(sql_parcels(values={"label": f"({HOSTILE[kind]})"}), at=":memory:")


def test_a_source_in_sql_is_refused_before_anything_is_read() -> None:
    with opened() as loader:
        for query in HOSTILE.values():
            source = query if query.startswith(("SELECT", "WITH")) else f"SELECT * {query}"
            with pytest.raises(SourceError):
                loader.load(source)


LARGE = [
    "SELECT repeat('x', 2_000_000_000)",
    "SELECT repeat(repeat('x', 90_000), 90_000)",
    "SELECT repeat('x', range) FROM range(9)",
    "SELECT lpad('x', 1_000_000_000, 'y')",
    "SELECT list_sum(range(1_000_000_000))",
    "SELECT len(range(10_001))",
    "SELECT len(generate_series(0, 10_000))",
    "SELECT len(generate_series(0, range)) FROM range(1_000_000, 1_000_009)",
    "SELECT list_resize([1], 100_000_000)",
    "SELECT format('{:1000000000}', 1)",
    "SELECT format('{:{}}', 1, 1_000_000_000)",
    "SELECT printf('%*d', 1_000_000_000, 1)",
    "SELECT bitstring('1', 1_000_000_000)",
    "SELECT repeat(label, 1_001) FROM parcels.runs",
    "SELECT repeat(label, least(weight, 1_001)) FROM parcels.runs",
    "SELECT range(weight, least(weight, 9)) FROM parcels.runs",
    "SELECT range(9, least(weight, 9), -1) FROM parcels.runs",
    "SELECT repeat('x', least(weight, length(label))) FROM parcels.runs",
]


@pytest.mark.parametrize("query", LARGE)
def test_a_query_makes_no_value_beyond_the_memory_limit(bench: Bench, query: str) -> None:
    with pytest.raises(QueryError, match=r"constant|make values"):
        bench.questions.sql(query)


def test_a_step_and_a_source_in_sql_make_none_either(open_bench: Callable[..., Bench]) -> None:
    for query in LARGE:
        with pytest.raises(DefinitionError, match=r"constant|make values"):
            open_bench(sql_parcels(values={"label": f"({query})::VARCHAR"}), at=":memory:")
    with opened() as loader:
        for query in LARGE:
            with pytest.raises(SourceError, match=r"constant|make values"):
                loader.load(query)


def doubled(times: int, twice: str = "x || x") -> str:
    query = "SELECT label AS x FROM parcels.runs"
    for _ in range(times):
        query = f"SELECT {twice} AS x FROM ({query})"
    return query


def doubled_in_one_list(times: int) -> str:
    named = ", ".join(f"x{each} || x{each} AS x{each + 1}" for each in range(times))
    return f"SELECT label AS x0, {named} FROM parcels.runs"


def doubled_tables(times: int) -> str:
    parts = ", ".join(f"t{each + 1} AS (FROM t{each}, t{each} AS o)" for each in range(times))
    return f"WITH t0 AS (FROM parcels.runs), {parts} SELECT count(*) FROM t{times}"


@pytest.mark.parametrize(
    "query",
    [
        doubled(20),
        doubled(20, "{'a': x, 'b': x}"),
        doubled(5, "replace(x, 'a', 'aaaaaaaaaa')"),
        f"SELECT count(*) FROM ({doubled_in_one_list(30)}) WHERE length(x30) > 1",
        doubled_tables(30),
        "SELECT list_reduce(['a', 'b'], lambda a, b: concat(a, a))",
        "SELECT reduce(['a', 'b'], (a, b) -> replace(a, 'x', 'xx'))",
    ],
)
def test_a_query_that_doubles_its_parts_is_refused_before_it_is_bound(
    bench: Bench, query: str
) -> None:
    with pytest.raises(QueryError, match=r"stand for|more than once"):
        bench.questions.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        doubled(8),
        doubled_in_one_list(8),
        doubled_tables(6),
        f"SELECT {' || '.join(['label'] * 300)} FROM parcels.runs",
        f"SELECT len([{', '.join(map(str, range(10_000)))}])",
        "SELECT list_reduce([1, 2], lambda a, b: CASE WHEN a > b THEN a ELSE b END)",
        "SELECT list_reduce(['a', 'b'], lambda a, b: a || ', ' || b)",
    ],
)
def test_a_query_may_use_its_names_several_times(bench: Bench, query: str) -> None:
    bench.questions.sql(query).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT repeat('-', 80), lpad('7', 10, '0'), lpad('8', 10, '0'), printf('%05d', 3)",
        "SELECT label, range(len(label)), range(1, length(label) + 1), range(5) FROM parcels.runs",
        "SELECT len(range(10_000)), range(5, 1)",
        "SELECT generate_series(10_000, 1, -1)",
        "SELECT repeat(label, least(weight, 80)), lpad('', least(9, 5)::INT, '') FROM parcels.runs",
        "SELECT range(least(weight, 80)), range(1, least(weight, 9), 2) FROM parcels.runs",
        "SELECT sum(range) FROM range(1_000_000)",
        "PIVOT parcels.runs ON status IN ('NEW') USING count(*)",
        "SELECT list_transform([1, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2]]",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t",
        "SELECT table_name FROM information_schema.tables",
        "FROM duckdb_columns() JOIN duckdb_tables USING (table_name)",
        "SHOW ALL TABLES",
        "EXPLAIN(ANALYZE, FORMAT json) SELECT 1",
        "SELECT 'current_setting(''x'')' AS \"FROM checkpoint()\" -- pg_settings",
    ],
)
def test_queries_that_only_read_are_executed(bench: Bench, query: str) -> None:
    bench.questions.sql(query).fetchall()


def test_nothing_hides_in_a_comment_before_explain(bench: Bench) -> None:
    bench.seed(1)
    for hidden in (
        f"/* /* */ EXPLAIN SELECT 1 -- */ EXPLAIN ANALYZE {DELETING}",
        f"-- EXPLAIN SELECT 1; --\nEXPLAIN ANALYZE {DELETING}",
        f"EXPLAIN/*x*/ANALYZE {DELETING}",
    ):
        with pytest.raises(BatchflowError):
            bench.questions.sql(hidden).fetchall()
    assert bench.rows("count(*)") == [(1,)]

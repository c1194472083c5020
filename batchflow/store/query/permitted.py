"""The functions, tables and lists that SQL from a caller may use, by their names in DuckDB.

A test compares these lists with all functions and views of the installed DuckDB, so that a new
version brings none that nothing here decides on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# A query reads these, and nothing else of DuckDB or the machine.
_OF_STORE: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "summary"),
        *("json_each", "json_tree", "test_all_types", "test_vector_types"),
        *("icu_calendar_names", "pg_timezone_names", "pragma_collations", "pragma_version"),
        *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_dependencies"),
        *("duckdb_functions", "duckdb_indexes", "duckdb_keywords", "duckdb_schemas"),
        *("duckdb_sequences", "duckdb_tables", "duckdb_triggers", "duckdb_types", "duckdb_views"),
        *("pragma_database_size", "pragma_storage_info", "pragma_table_info"),
        *("duckdb_memory", "duckdb_coordinate_systems"),
    }
)
_OF_FILES: Final = frozenset(
    {
        *("read_csv", "read_csv_auto", "sniff_csv", "read_text", "read_blob", "glob"),
        *("read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto"),
        *("read_ndjson", "read_ndjson_auto", "read_ndjson_objects"),
        *("read_parquet", "parquet_scan", "parquet_metadata", "parquet_schema"),
        *("parquet_file_metadata", "parquet_full_metadata", "parquet_kv_metadata"),
        *("parquet_bloom_probe", "parquet_page_index", "read_duckdb"),
        *("read_single_csv_file", "read_single_json_file", "read_single_parquet_file"),
    }
)

EXECUTES: Final = "executes SQL that is given as text"
SETTINGS: Final = "reads settings, and no settings can be read by a query"
WAITS: Final = "waits"
CHANGES: Final = "changes the store, a sequence or DuckDB itself"
INTERNAL: Final = "is for DuckDB's own use"

# All other scalar functions, aggregates and macros compute a value from their arguments.
REFUSED_FUNCTIONS: Final = {
    **dict.fromkeys(("json_serialize_plan", "json_execute_serialized_sql", "query"), EXECUTES),
    **dict.fromkeys(("query_table",), EXECUTES),
    **dict.fromkeys(("current_setting", "getvariable", "getenv", "which_secret"), SETTINGS),
    **dict.fromkeys(("sleep_ms", "pg_sleep"), WAITS),
    **dict.fromkeys(("nextval", "currval", "setval", "setseed", "write_log"), CHANGES),
    **dict.fromkeys(("finalize", "combine", "to_aggregate_state", "__cast", "__between"), INTERNAL),
}
INTERNAL_PREFIX: Final = "__internal_"

# Views of DuckDB's own; these prefixes are theirs.
SYSTEM_PREFIXES: Final = ("duckdb_", "pg_", "pragma_", "sqlite_")
PERMITTED_VIEWS: Final = frozenset(
    {
        *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_indexes"),
        *("duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views"),
        *("pragma_database_list", "sqlite_master", "sqlite_schema", "sqlite_temp_master"),
        *("sqlite_temp_schema", "pg_am", "pg_attrdef", "pg_attribute", "pg_class", "pg_collation"),
        *("pg_constraint", "pg_database", "pg_depend", "pg_description", "pg_enum", "pg_index"),
        *("pg_indexes", "pg_namespace", "pg_proc", "pg_sequence", "pg_sequences", "pg_tables"),
        *("pg_tablespace", "pg_type", "pg_views"),
    }
)
# Of SHOW, as DuckDB's parser names them.
PERMITTED_LISTS: Final = frozenset({"tables", "databases", "schemas", "__show_tables_expanded"})

READING_NODES: Final = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
)


@dataclass(frozen=True)
class Permitted:
    """The functions that the SQL of one kind of caller may use.

    Attributes:
        table_functions: The functions that it may read rows from.
    """

    table_functions: frozenset[str]


QUERY: Final = Permitted(_OF_STORE)
"""Queries, predicates, and the expressions of `edit` and of SQL steps."""

SOURCE: Final = Permitted(_OF_STORE | _OF_FILES)
"""The sources of loads, which may read files."""

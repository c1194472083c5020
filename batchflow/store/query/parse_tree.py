"""DuckDB's parse tree of SQL text."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import duckdb

from batchflow.errors import QueryError
from batchflow.operation.parameters import Params
from batchflow.store.database.forks import leak_in_child
from batchflow.store.database.instance import in_memory
from batchflow.store.schema.layout import quote

Tree: TypeAlias = dict[str, Any]

ONLY_READS: Final = (
    "A query is one statement that only reads (SELECT, FROM, DESCRIBE, SUMMARIZE, EXPLAIN); "
    "change runs with pause, resume, cancel and edit."
)
NOT_ONE_QUERY: Final = "it is not a single query that reads"

# Only what DuckDB takes for this is removed: a comment before it or within its options is not
# understood here, so that nothing can hide in one.
_EXPLAIN: Final = re.compile(
    r"\s*EXPLAIN\b(?:\s+ANALYZE\b|\s*\((?:\s*(?:ANALYZE|FORMAT\s+\w+)\s*,?)+\))?", re.IGNORECASE
)
_SERIALIZE: Final = (
    "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
)

_DESERIALIZE: Final = "SELECT json_deserialize_sql(CAST(? AS JSON))"


def parse_tree(query: str) -> Tree:
    """Return the tree of one statement that selects or describes, or of what EXPLAIN explains.

    Tables aren't looked up, and nothing is executed.

    Raises:
        QueryError: It can't be parsed, or is something else.
    """
    parsed = _serialized(query)
    if parsed.get("error_type") == "not implemented":
        explained = _EXPLAIN.match(query)
        if explained is not None:
            parsed = _serialized(query[explained.end() :])
    if parsed["error"] and parsed["error_type"] != "not implemented":
        found = str(parsed["error_message"])
        raise QueryError(f"The query can't be parsed: {found}", found=found)
    statements = parsed.get("statements", [])
    if len(statements) != 1:
        raise QueryError(ONLY_READS, found=NOT_ONE_QUERY)
    tree: Tree = statements[0]
    return tree


def text_of(tree: Tree) -> str:
    """Return a statement, as `parse_tree` returns it, as SQL text."""
    return _Parser.of_process().text(json.dumps({"error": False, "statements": [tree]}))


def type_of(expression: str, columns: Mapping[str, str], params: Params) -> str | None:
    """Return the SQL type of an expression over columns; None if that alone doesn't state it.

    Nothing is executed.

    Args:
        expression: The expression.
        columns: The SQL types of the columns, by name.
        params: The values of its parameters.
    """
    row = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in columns.items())
    query = f"DESCRIBE SELECT (\n{expression}\n) FROM (SELECT {row}) AS runs"
    try:
        return _Parser.of_process().described(query, params)
    except duckdb.Error:
        # It also reads tables, or DuckDB refuses it, as the query with it will show.
        return None


@lru_cache(maxsize=256)
def _serialized(query: str) -> Tree:
    # Cached, as a caller repeats its predicates; no tree is changed.
    text = _Parser.of_process().serialized(query)
    try:
        parsed: Tree = json.loads(text)
    except RecursionError:
        found = "its expressions are nested too deeply"
        raise QueryError(f"The query can't be checked: {found}.", found=found) from None
    return parsed


class _Parser:
    """An instance of DuckDB in memory that only parses; shared by all threads of a process."""

    _current: _Parser | None = None
    _opening = threading.Lock()

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._cursor = in_memory()
        self._using = threading.Lock()
        leak_in_child(self)

    @classmethod
    def of_process(cls) -> _Parser:
        with cls._opening:
            if cls._current is None or cls._current.pid != os.getpid():
                cls._current = cls()
            return cls._current

    def serialized(self, query: str) -> str:
        with self._using:
            [(text,)] = self._cursor.execute(_SERIALIZE, [query]).fetchall()
        return str(text)

    def text(self, serialized: str) -> str:
        with self._using:
            [(text,)] = self._cursor.execute(_DESERIALIZE, [serialized]).fetchall()
        return str(text)

    def described(self, query: str, params: Params) -> str:
        with self._using:
            [(_, kind, *_), *_] = self._cursor.execute(query, params).fetchall()
        return str(kind)


os.register_at_fork(after_in_child=_Parser._opening._at_fork_reinit)  # type: ignore[attr-defined]

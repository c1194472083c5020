"""Whether SQL from a caller may be executed: decided on DuckDB's parse tree, never on the text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from batchflow.errors import QueryError
from batchflow.store.query.parse_tree import Tree, parse_tree
from batchflow.store.query.permitted import (
    INTERNAL,
    INTERNAL_PREFIX,
    PERMITTED_LISTS,
    PERMITTED_VIEWS,
    QUERY,
    READING_NODES,
    REFUSED_FUNCTIONS,
    SETTINGS,
    SYSTEM_PREFIXES,
    Permitted,
)
from batchflow.store.query.sizes import oversized
from batchflow.store.query.tree_parts import nodes
from batchflow.store.query.unfolding import grows_in_loop, unfolds_too_far

_READ_FROM: Final = "TABLE_FUNCTION"
_RETURN_ROWS: Final = ("unnest", "unlist")


def require_reading(query: object, permitted: Permitted = QUERY) -> None:
    """Raise QueryError unless a text is one statement that only reads what is permitted.

    Tables aren't looked up, and nothing is executed.
    """
    require_text(query, "query")
    refused = _refused(str(query), permitted)
    if refused is not None:
        raise QueryError(f"The query can't be executed: {refused}.", found=refused)


def require_text(given: object, what: str) -> None:
    """Raise QueryError unless it is text that SQL can have, and not empty."""
    if not isinstance(given, str):
        raise QueryError(f"The {what} is of type {type(given).__name__}; give SQL text.")
    if given != given.encode("utf-8", "replace").decode("utf-8"):
        raise QueryError(f"The {what} has half a surrogate pair, which no SQL text can have.")
    if not given.strip():
        raise QueryError(f"The {what} is empty; give SQL text.", found="it is empty")


def is_one_expression(expression: str) -> bool:
    """Return whether a text is one expression, without a comma or keyword that makes it more.

    Raises:
        QueryError: It can't be parsed.
    """
    require_text(expression, "expression")
    tree = parse_tree(f"SELECT\n{expression}\n")["node"]
    parts = ("where_clause", "having", "qualify", "sample", "modifiers", "group_expressions")
    return (
        tree["type"] == "SELECT_NODE"
        and len(tree["select_list"]) == 1
        and tree["from_table"]["type"] == "EMPTY"
        and not any(tree.get(part) for part in parts)
    )


def returns_rows(expression: str) -> bool:
    """Return whether an expression has several values for one row, as ``unnest`` does.

    In a subquery, they are rows of that query.
    """
    pending = [parse_tree(f"SELECT\n{expression}\n")["node"]["select_list"]]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict) and part.get("class") != "SUBQUERY":
            if str(part.get("function_name", "")).casefold() in _RETURN_ROWS:
                return True
            pending += part.values()
    return False


@lru_cache(maxsize=256)
def has_subquery(expression: str) -> bool:
    """Return whether an expression contains a query."""
    tree = parse_tree(f"SELECT (\n{expression}\n)")["node"]["select_list"]
    return any(part.get("class") == "SUBQUERY" for part in nodes(tree))


@lru_cache(maxsize=512)
def _refused(query: str, permitted: Permitted) -> str | None:
    """Return why a query is refused; cached, as a waiting caller repeats it with each commit."""
    tree = parse_tree(query)
    found = next(_refusals(tree, permitted), None)
    if found is None:
        found = _unfolds_too_far(tree)
    if found is None:
        calls = _calls(tree)
        found = oversized(calls) or grows_in_loop(calls)
    return found


def _unfolds_too_far(tree: Tree) -> str | None:
    try:
        return unfolds_too_far(tree)
    except RecursionError:
        return "its queries are nested too deeply"


def _calls(tree: Tree) -> list[Tree]:
    """Return all calls of functions but those that rows are read from; these have other names."""
    parts = list(nodes(tree))
    read_from = {id(part.get("function")) for part in parts if part.get("type") == _READ_FROM}
    return [part for part in parts if "function_name" in part and id(part) not in read_from]


def _refusals(tree: Tree, permitted: Permitted) -> Iterator[str]:
    for part in nodes(tree):
        kind = str(part.get("type", ""))
        if kind == _READ_FROM:
            yield from _of_table_function(part, permitted)
        elif kind == "BASE_TABLE":
            yield from _of_table(str(part.get("table_name", "")))
        elif kind == "SHOW_REF":
            yield from _of_list(part)
        elif kind.endswith("_NODE") and kind not in READING_NODES:
            yield "it has a part that doesn't only read; give one statement that only reads"
    for call in _calls(tree):
        yield from _of_function(str(call["function_name"]))


def _of_table_function(node: Tree, permitted: Permitted) -> Iterator[str]:
    name = str(node["function"].get("function_name", ""))
    if name.casefold() not in permitted.table_functions:
        yield from _of_function(name)
        yield (
            f"it reads from {name}(), and a query reads only the store's tables, ranges, and "
            "DuckDB's lists of tables, columns and types"
        )


def _of_function(name: str) -> Iterator[str]:
    known = name.casefold()
    why = INTERNAL if known.startswith(INTERNAL_PREFIX) else REFUSED_FUNCTIONS.get(known)
    if why is not None:
        yield f"it uses {name}(), which {why}"


def _of_table(name: str) -> Iterator[str]:
    known = name.casefold()
    if known.startswith(SYSTEM_PREFIXES) and known not in PERMITTED_VIEWS:
        yield f"it reads {name}, which may have settings, and no settings can be read by a query"


def _of_list(node: Tree) -> Iterator[str]:
    """Refuse SHOW for anything but tables: the name may be that of a setting."""
    name = str(node.get("table_name", ""))
    shown = name.strip('"').casefold()
    if node.get("show_type") == "SHOW" and len(node["qualified_name"]["path"]) == 1:
        yield f"it shows {name}, which {SETTINGS}; use DESCRIBE for the columns of a table"
    elif name and node.get("show_type") == "SHOW_SPECIAL" and shown not in PERMITTED_LISTS:
        yield f"it shows {name}, and a query shows only tables and databases"

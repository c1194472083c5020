"""Names in predicates that no value of their column can have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from batchflow.definition.run_state import RunState
from batchflow.operation.parameters import Params
from batchflow.store.query.parse_tree import Tree, parse_tree
from batchflow.store.schema.layout import TRANSITION_OUTCOMES
from batchflow.store.schema.tables import Tables

_MEMBER: Final = re.compile(r"'((?:[^']|'')*)'")
_EQUALITIES: Final = frozenset(
    {
        *("COMPARE_EQUAL", "COMPARE_NOTEQUAL"),
        *("COMPARE_DISTINCT_FROM", "COMPARE_NOT_DISTINCT_FROM"),
    }
)
_IN: Final = frozenset({"COMPARE_IN", "COMPARE_NOT_IN"})
_CONTAINS: Final = frozenset(
    {"contains", "list_contains", "array_contains", "list_has", "array_has"}
)

Members = Mapping[str, tuple[str, ...]]


def members_of(tables: Tables) -> Members:
    """Return the names that each ENUM column of ``runs`` can have, by the column in lower case."""
    return {
        name.casefold(): tuple(each.replace("''", "'") for each in _MEMBER.findall(kind))
        for name, kind in zip(tables.column_names, tables.column_types, strict=True)
        if kind.startswith("ENUM(")
    }


def members_of_log(tables: Tables) -> Members:
    """Return the same for the columns of ``transitions`` and ``errors``."""
    statuses = members_of(tables)["status"]
    return {
        **dict.fromkeys(("status", "from_status", "to_status"), statuses),
        "outcome": TRANSITION_OUTCOMES,
        "run_state": tuple(state.name for state in RunState),
    }


def unknown_name(where: str, tables: Tables, params: Params) -> str | None:
    """Return which name in a predicate over ``runs`` is no value of its column, and the nearest."""
    tree = parse_tree(f"SELECT 1 WHERE\n{where}\n")["node"]
    return next(_unknown(tree.get("where_clause"), members_of(tables), tables, params), None)


def unknown_in(condition: str, members: Members, params: Params) -> str | None:
    """Return the same for a condition over other rows with such columns."""
    tree = parse_tree(f"SELECT 1 WHERE\n{condition}\n")["node"]
    return next(_unknown(tree.get("where_clause"), members, None, params), None)


def _unknown(tree: Any, members: Members, tables: Tables | None, params: Params) -> Iterator[str]:
    if isinstance(tree, list):
        for each in tree:
            yield from _unknown(each, members, tables, params)
    elif isinstance(tree, dict):
        if tree.get("class") == "SUBQUERY":
            yield from _unknown(tree.get("child"), members, tables, params)
            yield from _unknown_within(tree, tables, params)
            return
        for column, value in _compared(tree):
            name, given = _column(column, tables), _text(value, params)
            allowed = members.get(name or "")
            if allowed is not None and given is not None and given not in allowed:
                yield _message(str(name), given, allowed)
        yield from _unknown(list(tree.values()), members, tables, params)


def _unknown_within(tree: Tree, tables: Tables | None, params: Params) -> Iterator[str]:
    """Look into a subquery, where its columns are those of one table of the workflow."""
    node = tree["subquery"].get("node", {})
    read = node.get("from_table", {})
    name = str(read.get("table_name", "")).casefold()
    of_workflow = str(read.get("schema_name", "")).casefold()
    if tables is None or of_workflow != tables.name.casefold():
        return
    if name in ("runs", "transitions", "errors"):
        members = members_of(tables) if name == "runs" else members_of_log(tables)
        yield from _unknown(node.get("where_clause"), members, tables, params)


def _compared(part: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Yield each pair of expressions that a part of a predicate compares for equality."""
    kind = part.get("type")
    if kind in _EQUALITIES:
        yield part["left"], part["right"]
        yield part["right"], part["left"]
    elif kind in _IN:
        column, *values = part["children"]
        yield from ((column, value) for value in values)
    elif str(part.get("function_name", "")).casefold() in _CONTAINS:
        arguments = [each["expression"] for each in part.get("arguments", ())]
        if len(arguments) == 2:
            listed, column = arguments
            items = [each["expression"] for each in listed.get("arguments", ())]
            yield from ((column, value) for value in (*items, *listed.get("children", ())))


def _column(expression: Tree, tables: Tables | None) -> str | None:
    """Return the name of a column in lower case; a part of a struct is none."""
    if expression.get("class") == "CAST":
        return _column(expression["child"], tables)
    match expression.get("column_names"):
        case [name]:
            return str(name).casefold()
        case [*of, "runs" | "transitions" | "errors", name] if len(of) < 2:
            return str(name).casefold()
    return None


def _text(expression: Tree, params: Params) -> str | None:
    if expression.get("class") == "CAST":
        return _text(expression["child"], params)
    if expression.get("class") == "PARAMETER":
        found = _parameter(str(expression.get("identifier", "")), params)
        return found if isinstance(found, str) else None
    literal = expression.get("literal", {})
    return str(literal.get("text", "")) if literal.get("kind") == "STRING" else None


def _parameter(identifier: str, params: Params) -> Any:
    if isinstance(params, Mapping):
        return params.get(identifier)
    place = int(identifier) - 1 if identifier.isdecimal() else -1
    return params[place] if params is not None and 0 <= place < len(params) else None


def sentence(found: str) -> str:
    """Return what was found with the mark that ends a sentence."""
    return found if found.endswith(("?", ".", "!")) else f"{found}."


def _message(column: str, given: str, allowed: tuple[str, ...]) -> str:
    by_folded = {name.casefold(): name for name in allowed}
    near = difflib.get_close_matches(given.casefold(), by_folded, n=1, cutoff=0.5)
    remedy = f"did you mean {by_folded[near[0]]!r}?" if near else f"it has {', '.join(allowed)}"
    return f"{column} has no value {given!r}; {remedy}"

"""Names in predicates and queries that no value of their column can have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from batchflow.definition.run_state import RunState
from batchflow.errors import QueryError
from batchflow.operation.parameters import Params
from batchflow.store.query.parse_tree import Tree, parse_tree
from batchflow.store.query.tree_parts import arguments_of, lambda_parameters, nodes
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
    scope = {"runs": members_of(tables)}
    return next(_Names([tables], params).unknown(_where(where), [scope]), None)


def require_known_names(expression: str, tables: Tables, params: Params) -> None:
    """Raise QueryError if an expression over ``runs`` has such a name."""
    found = unknown_name(expression, tables, params)
    if found is not None:
        raise QueryError(sentence(found), found=found)


def unknown_in(condition: str, members: Members, params: Params) -> str | None:
    """Return the same for a condition over other rows with such columns."""
    return next(_Names([], params).unknown(_where(condition), [{"": members}]), None)


def unknown_in_query(
    query: str, workflows: Callable[[], Iterable[Tables]], params: Params
) -> str | None:
    """Return the same for a query, as far as its text shows which column a name stands for.

    Args:
        query: The query.
        workflows: Returns the tables of the workflows; it isn't called for a query without names.
        params: The values of its parameters.
    """
    tree = parse_tree(query)
    values = (value for part in nodes(tree) for _, value in _compared(part))
    if all(_text(value, params) is None for value in values):
        return None
    return next(_Names(workflows(), params).unknown(tree, [{}]), None)


def _where(condition: str) -> Any:
    return parse_tree(f"SELECT 1 WHERE\n{condition}\n")["node"].get("where_clause")


# The columns that have members, of each table of a query by its alias. An unknown table has none.
_Scope = Mapping[str, Members]


class _Names:
    """Looks for names that no value of their column can have.

    Args:
        workflows: The tables that queries may read.
        params: The values of parameters.
    """

    def __init__(self, workflows: Iterable[Tables], params: Params) -> None:
        self._workflows = {tables.name.casefold(): tables for tables in workflows}
        self._params = params

    def unknown(
        self, tree: Any, scopes: Sequence[_Scope], others: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        """Yield a message for each such name.

        Args:
            tree: A part of a query.
            scopes: The tables of the queries around it, those of the innermost first.
            others: The names that stand for something else than a column, or may do so.
        """
        if isinstance(tree, list):
            for each in tree:
                yield from self.unknown(each, scopes, others)
        elif isinstance(tree, dict):
            if tree.get("type") == "SELECT_NODE":
                yield from self._in_select(tree, scopes, others)
                return
            if tree.get("class") == "LAMBDA":
                others |= set(lambda_parameters(tree.get("lhs", {})))
            yield from self._compared_in(tree, scopes, others)
            yield from self.unknown(list(tree.values()), scopes, others)

    def _in_select(
        self, node: Tree, scopes: Sequence[_Scope], others: frozenset[str]
    ) -> Iterator[str]:
        scopes = [self._scope(node.get("from_table", {})), *scopes]
        aliases = {str(each["alias"]).casefold() for each in node["select_list"] if "alias" in each}
        for clause, part in node.items():
            # There, a column precedes an alias of the same name.
            known = others if clause in ("where_clause", "from_table") else others | aliases
            yield from self.unknown(part, scopes, known)

    def _compared_in(
        self, part: Tree, scopes: Sequence[_Scope], others: frozenset[str]
    ) -> Iterator[str]:
        for column, value in _compared(part):
            given, path = _text(value, self._params), _path(column)
            if given is None or not path or path[0] in others:
                continue
            allowed = _members(path, scopes)
            if allowed is not None and given not in allowed:
                yield _message(path[-1], given, allowed)

    def _scope(self, read: Tree) -> _Scope:
        if read.get("type") == "JOIN":
            return {**self._scope(read["left"]), **self._scope(read["right"])}
        name = str(read.get("table_name", "")).casefold()
        alias = str(read.get("alias", name)).casefold()
        tables = self._workflows.get(str(read.get("schema_name", "")).casefold())
        if tables is None or read.get("column_name_alias"):
            return {alias: {}}
        if name == "runs":
            return {alias: members_of(tables)}
        return {alias: members_of_log(tables) if name in ("transitions", "errors") else {}}


def _members(path: Sequence[str], scopes: Sequence[_Scope]) -> tuple[str, ...] | None:
    """Return the names that a column can have; None if it has no such names, or isn't known."""
    match path:
        case [name]:
            # Of a name that several tables may have, DuckDB requires which of them it is.
            tables = list(scopes[0].values())
            known = [members[name] for members in tables if name in members]
            return known[0] if len(known) == 1 and all(tables) else None
        case [*of, table, name] if len(of) < 2:
            scope = next((scope for scope in scopes if table in scope), {})
            return scope.get(table, {}).get(name)
    return None


def _path(expression: Tree) -> Sequence[str]:
    """Return the name of a column, after those of its table and schema, in lower case."""
    if expression.get("class") == "CAST":
        return _path(expression["child"])
    return [str(name).casefold() for name in expression.get("column_names", ())]


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
        arguments = arguments_of(part)
        if len(arguments) == 2:
            listed, column = arguments
            items = (*arguments_of(listed), *listed.get("children", ()))
            yield from ((column, value) for value in items)


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

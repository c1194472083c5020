"""How large a query becomes when DuckDB puts in what its names stand for.

A few lines can stand for billions of tables or expressions: each name that is used twice doubles
them. DuckDB puts them in while it binds a query, which nothing can interrupt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from batchflow.store.query.parse_tree import Tree
from batchflow.store.query.tree_parts import arguments_of, column_name, lambda_parameters

MOST_TABLES: Final = 2_000
MOST_COPIES: Final = 10_000

# Their results have all of their arguments.
_JOINING: Final = frozenset(
    {
        *("concat", "concat_ws", "||", "list_concat", "list_cat", "array_concat", "array_cat"),
        *("list_append", "array_append", "list_prepend", "array_prepend", "array_push_back"),
        *("array_push_front", "list_value", "list_pack", "array_value", "row", "struct_pack"),
        *("struct_concat", "struct_insert", "struct_update", "map", "map_concat", "list_zip"),
        *("array_zip", "json_array", "json_object", "json_merge_patch", "union_value"),
    }
)
_REPLACING: Final = frozenset({"replace", "regexp_replace"})
_REDUCING: Final = frozenset({"list_reduce", "array_reduce", "reduce"})
# Of a replacement that is a value of a row.
_UNKNOWN_LENGTH: Final = 100


@dataclass(frozen=True)
class _Size:
    """The size of a part of a query.

    Attributes:
        tables: How many tables it reads and SELECTs it has, with those of its WITH parts each time
            that they are used.
        columns: How many columns it has, in columns of a table.
        copies: How many values of a table one of its values has at most.
    """

    tables: int = 0
    columns: int = 0
    copies: int = 0


@dataclass(frozen=True)
class _Named:
    """The expression that a name of a select list stands for.

    Attributes:
        columns: How many columns its expression has, with those that its own names stand for.
        copies: How many values of a table its value has.
    """

    columns: int
    copies: int


_TABLE: Final = _Size(1, 1, 1)

_Sizes = Mapping[str, _Size]
_Names = Mapping[str, _Named]


def unfolds_too_far(tree: Tree) -> str | None:
    """Return why a query becomes too large, or None."""
    unfolding = _Unfolding()
    size = unfolding.of(tree, {})
    if size.tables + size.columns > MOST_TABLES:
        return (
            f"its names stand for {size.tables + size.columns:,} tables and columns, as each use "
            "of a WITH part counts; use fewer of them"
        )
    copies = max(unfolding.copies, size.copies)
    if copies > MOST_COPIES:
        return f"its names stand for expressions with {copies:,} values; use each name less often"
    return None


def grows_in_loop(calls: Iterable[Tree]) -> str | None:
    """Return why a call that repeats a function may double its result each time, or None."""
    for call in calls:
        name = str(call["function_name"])
        if name.casefold() in _REDUCING:
            function = arguments_of(call)[1:2]
            if function and _repeats_its_result(function[0]):
                return f"it uses {name}() with a function that has its result more than once"
    return None


def _repeats_its_result(function: Tree) -> bool:
    result, *others = lambda_parameters(function.get("lhs", {})) or [""]
    names = {result: _Named(1, 1), **dict.fromkeys(others, _Named(0, 0))}
    return _Unfolding().copies_in(function.get("expr", {}), names, 0) > 1


class _Unfolding:
    """Measures the parts of one query, each once.

    Attributes:
        copies: The most columns that an expression has with what its names stand for.
    """

    def __init__(self) -> None:
        self.copies = 0
        self._sizes: dict[int, _Size] = {}

    def of(self, part: Any, ctes: _Sizes) -> _Size:
        """Return the size of all queries and tables in a part of the tree."""
        return _together(self._sized(each, ctes) for each in _outermost(part, _is_table))

    def _sized(self, table: Tree, ctes: _Sizes) -> _Size:
        if id(table) not in self._sizes:
            self._sizes[id(table)] = self._measured(table, self._with(table, ctes))
        return self._sizes[id(table)]

    def _measured(self, table: Tree, ctes: _Sizes) -> _Size:
        match table["type"]:
            case "SELECT_NODE":
                return self._select(table, ctes)
            case "BASE_TABLE":
                is_local = len(table.get("qualified_name", {}).get("path", ())) == 1
                name = str(table["table_name"]).casefold()
                return ctes.get(name, _TABLE) if is_local else _TABLE
        return self.of([each for name, each in table.items() if name != "cte_map"], ctes)

    def _with(self, part: Tree, ctes: _Sizes) -> _Sizes:
        """Return the sizes of the WITH parts that a query can use."""
        known = dict(ctes)
        for each in part.get("cte_map", {}).get("map", ()):
            name, query = str(each["key"]).casefold(), each["value"]["query_node"]
            if query["type"] == "RECURSIVE_CTE_NODE":
                # Its repetitions can be interrupted.
                known[name] = _TABLE
            known[name] = self.of(query, known)
        return known

    def _select(self, node: Tree, ctes: _Sizes) -> _Size:
        read = self.of(node.get("from_table"), ctes)
        tables, columns, copies = read.tables + 1, 0, 1
        names: dict[str, _Named] = {}
        for item in node["select_list"]:
            tables += self.of(item, ctes).tables
            columns += max(1, _stars(item) * read.columns)
            in_tables = max(1, read.copies)
            named = _Named(self._columns(item, names), self.copies_in(item, names, in_tables))
            copies = max(copies, named.copies)
            if "alias" in item:
                names[str(item["alias"]).casefold()] = replace(named, copies=max(1, named.copies))
        for clause, part in node.items():
            if clause not in ("select_list", "from_table", "cte_map"):
                tables += self.of(part, ctes).tables
                self._columns(part, names)
        return _Size(tables, columns, copies)

    def _columns(self, part: Any, names: _Names) -> int:
        """Return how many columns an expression has with what its names stand for."""
        columns = 0
        for column in _outermost(part, _is_column):
            named = names.get(column_name(column))
            columns += 1 if named is None else named.columns
            self.copies = max(self.copies, 0 if named is None else named.columns)
        return columns

    def copies_in(self, part: Tree, names: _Names, in_tables: int) -> int:
        """Return how many values of a table the value of an expression has at most."""
        found: dict[int, int] = {}
        pending = [(part, False)]
        while pending:
            each, is_ready = pending.pop()
            inner = _inner(each)
            if inner and not is_ready:
                pending += [(each, True), *((one, False) for one in inner)]
            else:
                copies = [found[id(one)] for one in inner]
                found[id(each)] = self._copies(each, copies, names, in_tables)
        return found[id(part)]

    def _copies(self, part: Tree, inner: list[int], names: _Names, in_tables: int) -> int:
        """Return the same for an expression of which the parts are known."""
        match part.get("class"):
            case "COLUMN_REF":
                named = names.get(column_name(part))
                return in_tables if named is None else named.copies
            case "STAR":
                return in_tables
            case "SUBQUERY":
                return self.of(part, {}).copies
        known = str(part.get("function_name", "")).casefold()
        if known in _JOINING:
            return sum(inner)
        factor = _length(arguments_of(part)[2:]) if known in _REPLACING else 1
        return max(inner, default=0) * factor


def _inner(expression: Tree) -> list[Tree]:
    """Return the expressions that an expression is made of."""
    match expression.get("class"):
        case "COLUMN_REF" | "STAR" | "SUBQUERY":
            return []
        case "FUNCTION":
            return arguments_of(expression)
    return _outermost(list(expression.values()), lambda part: "class" in part)


def _outermost(part: Any, is_wanted: Callable[[Tree], bool]) -> list[Tree]:
    """Return the parts of a tree that are wanted and in no other such part, in no order."""
    found: list[Tree] = []
    pending = [part]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            if is_wanted(each):
                found.append(each)
            else:
                pending += each.values()
    return found


def _is_table(part: Tree) -> bool:
    kind = str(part.get("type", ""))
    return kind.endswith("_NODE") or kind == "BASE_TABLE"


def _is_column(part: Tree) -> bool:
    return part.get("class") == "COLUMN_REF"


def _together(sizes: Iterable[_Size]) -> _Size:
    every = list(sizes)
    return _Size(
        sum(size.tables for size in every),
        sum(size.columns for size in every),
        max((size.copies for size in every), default=0),
    )


def _stars(expression: Tree) -> int:
    """Return how often an expression has all columns of its tables."""
    found = _outermost(expression, lambda part: part.get("class") in ("STAR", "SUBQUERY"))
    return sum(part["class"] == "STAR" for part in found)


def _length(replacement: list[Tree]) -> int:
    literal = replacement[0].get("literal", {}) if replacement else {}
    is_text = literal.get("kind") == "STRING"
    return max(1, len(str(literal.get("text", "")))) if is_text else _UNKNOWN_LENGTH

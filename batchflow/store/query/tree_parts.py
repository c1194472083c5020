"""The parts of DuckDB's parse tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchflow.store.query.parse_tree import Tree


def nodes(tree: Any, *, but_for: str | None = None) -> Iterator[Tree]:
    """Yield all parts of a tree, in no order; ``but_for`` names what isn't searched for parts."""
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            yield part
            pending += (each for key, each in part.items() if key != but_for)


def arguments_of(call: Tree) -> list[Tree]:
    """Return the arguments of a call."""
    return [each["expression"] for each in call.get("arguments", ())]


def column_name(column: Tree) -> str:
    """Return the name of a column without that of its table, in lower case."""
    return str(column["column_names"][-1]).casefold()


def lambda_parameters(part: Tree) -> list[str]:
    """Return the names of the parameters at the left of a lambda, in lower case."""
    if part.get("class") == "COLUMN_REF":
        return [column_name(part)]
    return [name for each in arguments_of(part) for name in lambda_parameters(each)]

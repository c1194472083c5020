"""The errors that a SQL step raises itself, with DuckDB's error(), found for all runs at once.

DuckDB's TRY would find the runs for which an expression raises, but it refuses error(), which
counts as volatile. So each call is replaced, in the parse tree, by a cast that fails. What a call
would say is computed by an expression of its own, which takes the same ways through CASE and
COALESCE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from batchflow.errors import QueryError
from batchflow.store.query.parse_tree import Tree, parse_tree, text_of

# They evaluate an expression in a scope of its own, or not once for each run.
_OTHER_SCOPES: Final = frozenset({"LAMBDA", "SUBQUERY", "WINDOW"})


@dataclass(frozen=True)
class OwnErrors:
    """An expression without its calls of error(), as SQL that TRY accepts.

    Attributes:
        raising: It raises where a call would raise, and has the same value otherwise.
        message: The message of the call that raises; NULL if none does. It may raise as well.
    """

    raising: str
    message: str


def own_errors(expression: str) -> OwnErrors | None:
    """Replace the calls of error(); None if there are none that are understood."""
    try:
        tree = _tree_of(expression)
        message = _message(tree)
        if message is None:
            return None
        return OwnErrors(_text(_raising(tree)), _text(message))
    except (QueryError, RecursionError):
        return None


def _raising(tree: Any) -> Any:
    """Return a tree in which each call is a cast that fails, of the type of NULL as the call is."""
    if isinstance(tree, list):
        return [_raising(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if _raises(tree):
        failing = "CASE WHEN CAST('error: ' || a AS BOOLEAN) THEN NULL END"
        return _made(failing, a=_raising(_arguments(tree)[0]))
    return {key: _raising(value) for key, value in tree.items()}


def _message(tree: Any) -> Tree | None:
    """Return the tree of the message of the first call that raises; None if none can."""
    match tree:
        case list():
            return _first_of(_message(each) for each in tree)
        case dict() if tree.get("class") not in _OTHER_SCOPES:
            return _message_of(tree)
    return None


def _message_of(tree: Tree) -> Tree | None:
    if _raises(tree):
        return _made("CAST(a AS VARCHAR)", a=_raising(_arguments(tree)[0]))
    if _calls(tree, "if", arguments=3):
        when, then, otherwise = _arguments(tree)
        return _message(_made("CASE WHEN a THEN b ELSE c END", a=when, b=then, c=otherwise))
    match tree.get("type"):
        case "CASE_EXPR":
            return _message_of_case(tree)
        case "OPERATOR_COALESCE":
            return _message_of_coalesce(tree)
    return _message(list(tree.values()))


def _message_of_case(tree: Tree) -> Tree | None:
    checks, otherwise = tree["case_checks"], tree.get("else_expr")
    answers = [_message(check["then_expr"]) for check in checks]
    last = _message(otherwise)
    within = _first_of(_message(check["when_expr"]) for check in checks)
    if last is None and not any(answers):
        return within
    taken = {
        **tree,
        "case_checks": [
            {"when_expr": _raising(check["when_expr"]), "then_expr": answer or _made("NULL")}
            for check, answer in zip(checks, answers, strict=True)
        ],
        "else_expr": last or _made("NULL"),
        "alias": "",
    }
    return _first_of((within, taken))


def _message_of_coalesce(tree: Tree) -> Tree | None:
    message: Tree | None = None
    for each in reversed(tree["children"]):
        if message is not None:
            missing = "CASE WHEN a IS NULL THEN b END"
            message = _made(missing, a=_raising(each), b=message)
        message = _first_of((_message(each), message))
    return message


def _first_of(messages: Iterator[Tree | None] | tuple[Tree | None, ...]) -> Tree | None:
    known = [each for each in messages if each is not None]
    if not known:
        return None
    return reduce(lambda first, second: _made("coalesce(a, b)", a=first, b=second), known)


def _raises(tree: Tree) -> bool:
    return _calls(tree, "error", arguments=1)


def _calls(tree: Tree, name: str, *, arguments: int) -> bool:
    if tree.get("class") != "FUNCTION" or len(tree.get("arguments", ())) != arguments:
        return False
    return str(tree["function_name"]).lower() == name


def _arguments(tree: Tree) -> list[Tree]:
    return [argument["expression"] for argument in tree["arguments"]]


def _made(sql: str, **parts: Tree) -> Tree:
    """Return the tree of an expression, with trees in the place of its columns."""
    made: Tree = _with_parts(_tree_of(sql), parts)
    return made


def _with_parts(tree: Any, parts: dict[str, Tree]) -> Any:
    if isinstance(tree, list):
        return [_with_parts(each, parts) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.get("class") == "COLUMN_REF":
        return parts[tree["column_names"][0]]
    return {key: _with_parts(value, parts) for key, value in tree.items()}


def _tree_of(expression: str) -> Tree:
    tree: Tree
    (tree,) = parse_tree(f"SELECT {expression}")["node"]["select_list"]
    return tree


def _text(expression: Tree) -> str:
    statement = parse_tree("SELECT 1")
    node = {**statement["node"], "select_list": [expression]}
    return text_of({**statement, "node": node}).removeprefix("SELECT ")

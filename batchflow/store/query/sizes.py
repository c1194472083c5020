"""Functions that make a large value out of a number.

DuckDB's memory limit doesn't count the values of the vector that it computes, so these sizes have
to be constants with a bound, or ``least(…)`` with such a constant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, Final

MOST_CHARACTERS: Final = 100_000
MOST_ITEMS: Final = 10_000
# Of all sizes in a query together, as one may be within another; smaller ones don't count.
_MOST_TOGETHER: Final = 100_000
_SMALL: Final = 100
# Of a text that is a value of a row.
_UNKNOWN_LENGTH: Final = 100

_CHARACTERS: Final = frozenset({"repeat", "lpad", "rpad", "bitstring"})
_RESIZED: Final = frozenset({"list_resize", "array_resize"})
_SERIES: Final = frozenset({"range", "generate_series"})
_FORMATS: Final = frozenset({"format", "printf"})
# Their results are no larger than a value that is there already.
_LENGTHS: Final = frozenset(
    {"len", "length", "array_length", "cardinality", "strlen", "json_array_length"}
)
# A width of five digits, or one that is an argument.
_WIDE: Final = re.compile(r"\d{5}|\*|:[^}]*\{")


def oversized(calls: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why the calls of scalar functions may make values that are too large, or None."""
    sizes: list[int] = []
    for call in calls:
        name = str(call["function_name"]).casefold()
        arguments = [each["expression"] for each in call.get("arguments", ())]
        if not arguments:
            continue
        if name in _FORMATS and not _is_narrow(arguments[0]):
            return f"it uses {name}() with a width that isn't a constant below 10,000"
        if name in _CHARACTERS | _RESIZED | _SERIES:
            most = MOST_CHARACTERS if name in _CHARACTERS else MOST_ITEMS
            size = _series(name, arguments, most) if name in _SERIES else _size(name, arguments)
            if size is None or size > most:
                return f"it uses {name}() with {_remedy(name, most)}"
            sizes.append(size)
    together = prod(size for size in sizes if size > _SMALL)
    if together > _MOST_TOGETHER:
        return f"its functions make values of {together:,} characters or items; make smaller ones"
    return None


def _remedy(name: str, most: int) -> str:
    if name in _SERIES:
        return (
            f"bounds that aren't constants, for at most {most:,} items, or least(…, {most}) as the "
            f"last; as in FROM {name}(…), it makes rows and has no bound"
        )
    if name == "repeat":
        few = most // _UNKNOWN_LENGTH
        return (
            f"a number that isn't a constant of at most {few:,} or least(…, {few}), or, of a "
            f"constant text, makes more than {most:,} characters"
        )
    return f"a size that isn't a constant of at most {most:,} or least(…, {most})"


def _size(name: str, arguments: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how large the result of a call is at most, as far as the text shows it."""
    size = _most(arguments[1]) if len(arguments) > 1 else 0
    if size is None:
        return None
    if name != "repeat":
        return size
    text = _text(arguments[0])
    return size * (_UNKNOWN_LENGTH if text is None else max(1, len(text)))


def _series(name: str, arguments: Sequence[Mapping[str, Any]], most: int) -> int | None:
    """Return how many items a list has; what has no more than a stored value counts as few."""
    bounds = [_integer(each) for each in arguments]
    last = min(1, len(bounds) - 1)
    if bounds[last] is None and all((bound or 1) > 0 for bound in bounds[2:]):
        # It counts upward.
        bounds[last] = _most(arguments[last])
    if all(bound is not None for bound in bounds):
        first, last, step = _bounds([bound for bound in bounds if bound is not None])
        # Only range() leaves out its last bound. DuckDB refuses a step of 0.
        end = last if name == "range" else last + (1 if step > 0 else -1)
        return len(range(first, end, step or 1))
    known = (bound is not None and abs(bound) <= most for bound in bounds)
    if all(small or _is_length(each) for small, each in zip(known, arguments, strict=True)):
        return 1
    return None


def _bounds(given: Sequence[int]) -> tuple[int, int, int]:
    match given:
        case [last]:
            return 0, last, 1
        case [first, last]:
            return first, last, 1
        case [first, last, step, *_]:
            return first, last, step
    return 0, 0, 1


def _is_length(expression: Mapping[str, Any]) -> bool:
    """Return whether an expression is the length of a column, or that and a constant."""
    name = str(expression.get("function_name", "")).casefold()
    arguments = [each["expression"] for each in expression.get("arguments", ())]
    if name in ("+", "-"):
        bounds = [_integer(each) for each in arguments]
        return all(
            _is_length(each) if bound is None else abs(bound) <= MOST_ITEMS
            for each, bound in zip(arguments, bounds, strict=True)
        )
    return name in _LENGTHS and all(each.get("class") == "COLUMN_REF" for each in arguments)


def _is_narrow(expression: Mapping[str, Any]) -> bool:
    text = _text(expression)
    return text is not None and _WIDE.search(text) is None


def _integer(expression: Mapping[str, Any]) -> int | None:
    """Return the value of a constant that is a whole number, also with a sign or a cast."""
    if expression.get("class") == "CAST":
        return _integer(expression["child"])
    if expression.get("function_name") == "-" and len(expression.get("arguments", ())) == 1:
        value = _integer(expression["arguments"][0]["expression"])
        return None if value is None else -value
    literal = expression.get("literal", {})
    return int(literal["text"]) if literal.get("kind") == "INTEGER" else None


def _most(expression: Mapping[str, Any]) -> int | None:
    """Return a constant, or the constant that a value is ``least`` of, also with a cast."""
    if expression.get("class") == "CAST":
        return _most(expression["child"])
    if str(expression.get("function_name", "")).casefold() != "least":
        return _integer(expression)
    given = (_integer(each["expression"]) for each in expression.get("arguments", ()))
    return min((bound for bound in given if bound is not None), default=None)


def _text(expression: Mapping[str, Any]) -> str | None:
    literal = expression.get("literal", {})
    return str(literal.get("text", "")) if literal.get("kind") == "STRING" else None

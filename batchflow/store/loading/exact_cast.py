"""Casts in SQL that keep a value, or state that it doesn't fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.definition.fields import FieldType
from batchflow.store.schema.layout import literal

# Larger exponents than these leave the range of every field, unless all digits are zeros.
_WITH_EXPONENT: Final = r"\s*([+-]?)(\d+)\.?(\d*)[eE]([+-]?0*\d{1,3})\s*"
_SHORT_WITH_EXPONENT: Final = r"-?[0-9.]{1,16}[eE][+-]?\d{1,3}"
_MOST_ZEROS: Final = 1_000
_ZEROS: Final = f"repeat('0', {_MOST_ZEROS})"


@dataclass(frozen=True)
class Fit:
    """The SQL that converts a source's values to a field's type.

    Attributes:
        value: The converted value; NULL if it doesn't fit.
        misfit: A condition: true if a value that isn't NULL doesn't fit, else NULL or false. None
            if every value fits.
        both: The SQL of a struct of `fitted` and `misfit`, if both are parts of it.
    """

    value: str
    misfit: str | None = None
    both: str | None = None

    @property
    def pair(self) -> str:
        """Return the SQL of a struct of `fitted` and `misfit`, to compute both at once."""
        return self.both or f"{{'fitted': {self.value}, 'misfit': {self.misfit or 'false'}}}"


def parts_of(pair: str) -> Fit:
    """Return the fit of which a struct has both parts."""
    fitted, misfit = (f"struct_extract({pair}, '{part}')" for part in ("fitted", "misfit"))
    return Fit(fitted, misfit, pair)


def computed_once(value: str, name: str, inner: Fit) -> Fit:
    """Return a fit of `value` that uses it as `name`, so that long SQL isn't repeated.

    A fit that repeated the fits of its parts would double with each level of a type.
    """
    return parts_of(f"list_extract(list_transform([{value}], lambda {name}: {inner.pair}), 1)")


def child_types(source: DuckDBPyType) -> list[DuckDBPyType]:
    """Return the types of what a nested type contains."""
    # The children also include an array's size and an enum's names.
    return [child for _, child in source.children if isinstance(child, DuckDBPyType)]


Fitting = Callable[[DuckDBPyType, FieldType, str], Fit | None]


def exact(value: str, field_type: FieldType) -> Fit:
    """Accept each value, because the cast loses nothing."""
    return Fit(f"CAST({value} AS {field_type.sql})")


def round_trip(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit:
    """Accept a value if it is the same after a cast to the field's type and back."""
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    return Fit(cast, f"{value} IS DISTINCT FROM TRY_CAST({cast} AS {source})")


def castable(value: str, field_type: FieldType, *also: str) -> Fit:
    """Accept a value if it can be cast, and none of the other conditions is true."""
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    misfits = " OR ".join([f"{cast} IS NULL", *also])
    return Fit(cast, f"{value} IS NOT NULL AND ({misfits})")


def without_empty(value: str) -> str:
    """Return the SQL of a text, with NULL for an empty one."""
    # A quoted empty cell of a CSV file is an empty text. Other fields read it as no value.
    return f"nullif({value}, '')"


def without_exponent(value: str) -> str:
    """Return the SQL of a text, with a number like ``1.5e-2`` written out as ``0.015``.

    DuckDB's casts of numbers with exponents round, and overflow where the result would fit.
    """
    sign, whole, fraction, exponent = (
        f"regexp_extract({value}, {literal(_WITH_EXPONENT)}, {group})" for group in range(1, 5)
    )
    digits = f"({_ZEROS} || {whole} || {fraction} || {_ZEROS})"
    point = f"({_MOST_ZEROS} + length({whole}) + coalesce(TRY_CAST({exponent} AS INTEGER), 0))"
    before = f"ltrim(left({digits}, {point}), '0')"
    after = f"rtrim(substr({digits}, {point} + 1), '0')"
    return (
        f"CASE WHEN regexp_full_match({value}, {literal(_WITH_EXPONENT)}) "
        f"THEN {sign} || '0' || {before} || '.' || {after} ELSE {value} END"
    )


def number_castable(value: str, field_type: FieldType, pattern: str) -> Fit:
    """Accept a text that matches a pattern of exact numbers, or is one of them with an exponent."""
    if value.startswith('"'):
        plain = without_exponent(value)
        return castable(without_empty(plain), field_type, no_match(plain, pattern))
    # DuckDB binds what is within nested lambdas many times, so this has to be short there. Numbers
    # of 15 digits differ if their doubles do.
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    same = f"CAST({cast} AS DOUBLE) = TRY_CAST({value} AS DOUBLE)"
    short = f"regexp_full_match({value}, {literal(_SHORT_WITH_EXPONENT)})"
    misfit = f"{no_match(value, pattern)} AND NOT coalesce({short} AND {same}, false)"
    return castable(without_empty(value), field_type, f"({misfit})")


def no_match(value: str, pattern: str) -> str:
    """Return the condition that a text doesn't match a pattern."""
    return f"NOT regexp_full_match({value}, {literal(pattern)})"

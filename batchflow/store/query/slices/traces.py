"""Fields that the steps fill: they show how far a run got, and not why."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np

from batchflow.definition.fields import Field
from batchflow.store.query.slices.conditions import readable_name
from batchflow.store.schema.layout import literal

_MICROSECOND: Final = timedelta(microseconds=1)
_FEW: Final = 0.01
_MANY: Final = 1 - _FEW
# Steps may also give a run the default again, such as a total of zero.
_SOME: Final = 0.25
# No step has moved such a run yet.
_UNTOUCHED: Final = "run_state = 'INITIATED'"


def fields_with_default(fields: Sequence[Field]) -> list[tuple[Field, str]]:
    """Return the fields with a default, each with the condition that it has this default."""
    return [(field, text) for field in fields for text in _is_default(field)]


def counts_of(condition: str) -> tuple[str, str]:
    """Return the expressions that count the runs with a default, and those untouched of them."""
    return f"count(*) FILTER ({condition})", f"count(*) FILTER ({condition} AND {_UNTOUCHED})"


def count_of_untouched() -> str:
    """Return the expression that counts the runs that no step has moved."""
    return f"count(*) FILTER ({_UNTOUCHED})"


def is_trace(
    runs: np.ndarray, untouched: np.ndarray, default: np.ndarray, untouched_default: np.ndarray
) -> bool:
    """Return whether a field is filled by steps, judged by its counts at each status.

    Its status then says whether a run has the default, and most runs don't have it any more, or all
    that no step has moved do.
    """
    if not _status_tells(runs, default, _FEW):
        return False
    is_first = untouched.sum() > 0 and untouched_default.sum() >= _MANY * untouched.sum()
    return bool(is_first or default.sum() < runs.sum() / 2)


def may_be_trace(runs: np.ndarray, default: np.ndarray, chosen: np.ndarray) -> bool:
    """Return whether steps may fill a field, though some runs have the default ever after.

    Its status says whether a run has the default, or all runs do at the statuses where the chosen
    ones are, and fewer elsewhere: a later step may fill it. A cause can look the same: a default
    that fails where another condition holds.
    """
    if _status_tells(runs, default, _SOME) and default.sum() < runs.sum() / 2:
        return True
    here = chosen > 0
    elsewhere = default[~here].sum() / max(runs[~here].sum(), 1)
    return bool((default[here] >= _MANY * runs[here]).all() and elsewhere <= 1 - _SOME)


def _status_tells(runs: np.ndarray, default: np.ndarray, few: float) -> bool:
    """Return whether nearly all runs at a status have the default, or at most this share."""
    shares = default / runs
    return bool(((shares <= few) | (shares >= _MANY)).all() and np.ptp(shares) >= _MANY - few)


def _is_default(field: Field) -> Iterator[str]:
    if field.required:
        return
    column = readable_name(field.column)
    if field.default_factory in (list, dict):
        yield (
            f"len({column}) = 0" if field.default_factory is list else f"cardinality({column}) = 0"
        )
    elif field.default_factory is None and field.default is None:
        yield f"{column} IS NULL"
    elif field.default_factory is None and not field.type.kind.nested:
        yield f"{column} = CAST({literal(_text(field.default))} AS {field.type.sql})"


def _text(value: Any) -> str:
    match value:
        case enum.Enum():
            return value.name
        case timedelta():
            return f"{value // _MICROSECOND} microseconds"
        case bytes():
            return "".join(f"\\x{byte:02X}" for byte in value)
    return str(value)

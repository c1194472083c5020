"""Messages for ways to read a batch that data frames have, and a batch doesn't."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchflow.closest_name import did_you_mean
from batchflow.columns.value_writing import describe


def require_name(name: Any, fields: Iterable[str]) -> None:
    """Check that a batch is indexed by a text.

    Raises:
        TypeError: It isn't.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"A batch is indexed by the name of one field, not by {describe(name)}. Read each "
            f"column as {_column(fields)}, or select from batch.arrow or batch.polars()."
        )


def no_attribute(name: str, batch: type, fields: Iterable[str]) -> str:
    """Return the message for an attribute that a batch doesn't have."""
    names = list(fields)
    others = [each for each in dir(batch) if not each.startswith("_")]
    hint = "" if name in names else did_you_mean(name, others)
    column = _column([name] if name in names else names)
    return (
        f"A batch has no attribute {name!r}.{hint} Read a column as {column}; batch.arrow and "
        "batch.polars() give all of them."
    )


def no_rows(fields: Iterable[str]) -> str:
    """Return the message for a loop over a batch."""
    return (
        f"A batch can't be iterated. Compute with a column, such as {_column(fields)}, or iterate "
        "over its values."
    )


def _column(fields: Iterable[str]) -> str:
    name = next(iter(fields), "name")
    return f"batch[{name!r}]"

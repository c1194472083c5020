"""Match a column with the runs of its batch: as many values as runs, in the runs' order.

Nothing is guessed. A pandas column is aligned by its index, everything else that has an order is
taken in it, and what has no order is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FRAMES: Final = {
    "pandas": ("DataFrame",),
    "polars": ("DataFrame",),
    "pyarrow": ("RecordBatch", "Table"),
}


class ColumnShapeError(ValueError):
    """A column can't be matched with the runs of its batch, so no run can be given its value.

    Attributes:
        found: What was found, as a phrase.
    """

    def __init__(self, found: str, remedy: str) -> None:
        self.found = found
        super().__init__(f"Found {found}. {remedy}")


class WrongLengthError(ColumnShapeError):
    """A column doesn't have one value for each run of the batch."""

    def __init__(self, values: str, rows: int) -> None:
        runs = "1 run" if rows == 1 else f"{rows} runs"
        super().__init__(f"{values} for {runs}", "Give one value for each run.")


class UnorderedColumnError(ColumnShapeError):
    """The values of a column aren't in an order that belongs to the runs of the batch."""


def require_one_column(column: Any) -> None:
    """Check that something is no frame, no expression and no array of several dimensions.

    Raises:
        ColumnShapeError: It is one of these.
    """
    kind = type(column)
    module = kind.__module__.partition(".")[0]
    if module == "polars" and kind.__name__ in ("Expr", "LazyFrame"):
        raise ColumnShapeError(
            f"a Polars {kind.__name__}, which isn't evaluated",
            "Evaluate it first, as in batch.polars().select(...).to_series().",
        )
    if kind.__name__ in _FRAMES.get(module, ()):
        raise ColumnShapeError(
            f"a {kind.__name__}, which may have several columns",
            "Give one of its columns, as in frame['name'].",
        )
    if isinstance(column, np.ndarray) and column.ndim > 1:
        raise ColumnShapeError(
            f"an array of {column.ndim} dimensions", "Give one of 1, as in values[:, 0]."
        )


def counted_values(count: int) -> str:
    """Return a number of values as a phrase."""
    return "1 value" if count == 1 else f"{count} values"


def in_row_order(column: Any, rows: int) -> Any:
    """Return a pandas column or frame in the order of the runs, and anything else unchanged.

    The index of a batch has the numbers 0 to n - 1, which pandas gives to a frame that is made of
    the batch's columns.

    Raises:
        WrongLengthError: The pandas column has more or fewer values than there are runs.
        UnorderedColumnError: Its index isn't a permutation of the batch's, or the values are a
            set or a mapping.
    """
    if isinstance(column, Set | Mapping):
        raise UnorderedColumnError(
            f"a {type(column).__name__}, which has no order",
            "Give a list or an array, in the order of the runs.",
        )
    if not _has_index(column):
        return column
    if len(column) != rows:
        raise WrongLengthError(counted_values(len(column)), rows)
    places = _places(column.index)
    if places is not None and np.array_equal(places, np.arange(rows)):
        return column
    if places is None or not _is_permutation(places, rows):
        raise UnorderedColumnError(
            f"a pandas {type(column).__name__} with another index than the batch's, which is 0 to "
            f"{rows - 1}",
            "Keep the index of the frame that was made of the batch's columns, or give an array "
            "with .to_numpy() if the values are in the order of the runs.",
        )
    # Arrow would send another index as a column of a frame.
    return column.iloc[np.argsort(places)].reset_index(drop=True)


def _has_index(column: Any) -> bool:
    """Return whether the column is of pandas, or of a library with the same interface."""
    return hasattr(type(column), "iloc") and hasattr(type(column), "index")


def _places(index: Any) -> npt.NDArray[np.int64] | None:
    places = np.asarray(index)
    if places.dtype == object and set(map(type, places.tolist())) <= {int}:
        places = places.astype(np.int64)
    return places if places.dtype.kind in "iu" and places.ndim == 1 else None


def _is_permutation(places: npt.NDArray[np.int64], rows: int) -> bool:
    return np.array_equal(np.sort(places), np.arange(rows))

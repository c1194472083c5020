"""Recognise the errors of a batch step that are the fault of the step, and of no single run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from batchflow.columns.row_order import ColumnShapeError

_MOST_CAUSES: Final = 20

# By these messages NumPy, Arrow, pandas and Polars state that the columns of a batch differ in
# length.
_OF_COLUMNS: Final = re.compile(
    r"All arrays must be of the same length|arguments .*must all be the same length"
    r"|[Ll]engths must match|must be same shape as self|with a different length than the value"
    r"|length of index|expected length|can't broadcast Series|height of column"
    r"|series of different lengths|filter's length|condition height",
    re.DOTALL,
)
# These messages may also be about the value of one run. They count if they name the number of runs.
_OF_ANYTHING: Final = re.compile(
    r"could not be broadcast|could not broadcast|cannot be broadcast|must match exactly"
    r"|did not match indexed array|not aligned|Item wrong length|cannot reshape",
)
_NUMBER: Final = re.compile(r"\d+")


def is_of_the_whole(error: BaseException, rows: int) -> bool:
    """Return whether the error, or one that led to it, is about the length or order of a column.

    Such a batch mustn't be halved, because its length would fit by chance at some size.
    """
    try:
        return any(
            issubclass(type(one), ColumnShapeError) or _is_of_a_library(one, rows)
            for one in _chain(error)
        )
    except BaseException:
        # The message, the module and the cause of a user's exception may be anything, and raise.
        return False


def _is_of_a_library(error: BaseException, rows: int) -> bool:
    module = type(error).__module__.partition(".")[0]
    if type(error) not in (ValueError, IndexError) and module not in ("pyarrow", "polars"):
        return False
    message = str(error)
    if _OF_COLUMNS.search(message):
        return True
    return bool(_OF_ANYTHING.search(message)) and str(rows) in _NUMBER.findall(message)


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__

"""Add the remedy to the error of a batch step that changes an array which it read."""

from __future__ import annotations

import re
from typing import Final

# By these messages NumPy refuses to write to an array, also for pandas.
_READ_ONLY: Final = re.compile(r"(output array|assignment destination|array) is read-only")
_REMEDY: Final = (
    'The arrays of a batch can\'t be changed in place; assign the column, as in batch["n"] = '
    'batch["n"] + 1.'
)


def add_read_only_hint(error: BaseException) -> None:
    """Add the remedy to NumPy's error, if it is that one."""
    if type(error) is ValueError and len(error.args) == 1:
        message = error.args[0]
        if isinstance(message, str) and _READ_ONLY.fullmatch(message):
            error.args = (f"{message}. {_REMEDY}",)

"""A SQL step that was added; it refuses to decorate a function."""

from __future__ import annotations

from typing import Never

from batchflow.errors import DefinitionError


class AddedSqlStep:
    """A SQL step that was added, and that has no function.

    Args:
        name: The name of the step.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, function: Never) -> Never:
        """Refuse a function, as a decorator would receive it."""
        raise DefinitionError(
            f"'sql_step' is used as the decorator of {getattr(function, '__name__', function)!r}, "
            "but a SQL step has no function. Write workflow.sql_step(status, to=next_status, "
            "set={…}) on a line of its own, or decorate the function with @workflow.step."
        )

    def __repr__(self) -> str:
        return f"<SQL step {self._name!r}>"

    def _ipython_display_(self) -> None:
        """Show nothing in a notebook, as it isn't a result."""

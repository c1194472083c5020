"""Add the closest valid name to the AttributeError of a misspelled attribute of a run's object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from batchflow.closest_name import did_you_mean
from batchflow.definition.field_type import FieldType, Kind
from batchflow.definition.fields import Field
from batchflow.view.run import Run

_NO_ATTRIBUTE: Final = re.compile(r"'(\w+)' object has no attribute '(\w+)'")


class AttributeHints:
    """The valid names by class. Python itself adds a hint only where a traceback ends a program.

    Args:
        object_type: The class of the objects.
        fields: Their fields, whose types may be further classes.
    """

    def __init__(self, object_type: type, fields: Sequence[Field]) -> None:
        self._names = {object_type.__name__: [field.name for field in fields]}
        for field in fields:
            self._names |= dict(_structs(field.type))
        self._of_run = [f"run.object.{field.name}" for field in fields]

    def add_to(self, error: BaseException) -> None:
        """Add a hint to an AttributeError, if it is one of these classes'."""
        if type(error) is not AttributeError or len(error.args) != 1:
            return
        found = _NO_ATTRIBUTE.fullmatch(str(error.args[0]))
        if found is None:
            return
        if found[1] == Run.__name__:
            hint = did_you_mean(f"run.object.{found[2]}", self._of_run, shown="{}")
        else:
            hint = did_you_mean(found[2], self._names.get(found[1], ()))
        error.args = (f"{error.args[0]}.{hint}",)


def _structs(field_type: FieldType) -> Iterator[tuple[str, list[str]]]:
    if field_type.kind is Kind.STRUCT:
        yield field_type.python.__name__, [name for name, _ in field_type.children]
    for _, child in field_type.children:
        yield from _structs(child)

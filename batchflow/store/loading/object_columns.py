"""Objects as columns: one for each field of their workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchflow.closest_name import closest_hint
from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.fields import Field
from batchflow.definition.redefined import RUN_AGAIN, is_redefined
from batchflow.store.loading.object_values import ValueReader, read_attribute, reader_for
from batchflow.store.schema.layout import AnyWorkflow


class UnlikeObjectError(Exception):
    """An object isn't one of the workflow's.

    Attributes:
        position: Its place among the objects, from 0.
        problem: What is wrong with it, as the rest of a sentence.
    """

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(problem)
        self.position = position
        self.problem = problem


class ObjectColumns:
    """Write the objects of a workflow as columns; see `reader_for` for the classes that it takes.

    Args:
        workflow: The workflow.
        other_key: A key that mappings may have besides the fields.
    """

    def __init__(self, workflow: AnyWorkflow, other_key: str | None = None) -> None:
        self._fields: Sequence[Field] = workflow.fields
        self._expected: type = workflow.object_type
        self._keys = {*(field.name for field in workflow.fields), other_key}
        self._readers: dict[type, ValueReader] = {}

    def write(self, objects: Sequence[Any]) -> list[WrittenColumn]:
        """Return a column for each field of the workflow.

        Raises:
            UnlikeObjectError: One of them is not an object of the workflow.
        """
        classes = list(map(type, objects))
        for found in set(classes) - self._readers.keys():
            self._readers[found] = self._reader_for(found, classes)
        readers = {found: self._readers[found] for found in set(classes)}
        self._require_known_keys(objects, readers)
        return [
            write_values(_values(objects, classes, readers, field), field.type)
            for field in self._fields
        ]

    def _reader_for(self, found: type, classes: list[type]) -> ValueReader:
        if is_redefined(found, self._expected):
            # Its fields may fit, but the steps would execute the methods of the former class.
            problem = f"is of the class {found.__name__}, which was defined again; {RUN_AGAIN}"
            raise UnlikeObjectError(classes.index(found), problem)
        reader = reader_for(found, self._expected)
        if reader is None:
            raise UnlikeObjectError(classes.index(found), f"is of type {found.__name__}")
        return reader

    def _require_known_keys(self, objects: Iterable[Any], classes: Iterable[type]) -> None:
        if not any(issubclass(found, Mapping) for found in classes):
            return
        for position, one in enumerate(objects):
            unknown = one.keys() - self._keys if isinstance(one, Mapping) else ()
            if unknown:
                key = min(unknown, key=repr)
                fields = (field.name for field in self._fields if field.name not in one)
                hint = closest_hint(key, fields) if isinstance(key, str) else ""
                problem = f"has the key {key!r}, which is not a field"
                raise UnlikeObjectError(position, f"{problem} of {self._expected.__name__}{hint}")


def _values(
    objects: Sequence[Any], classes: list[type], readers: Mapping[type, ValueReader], field: Field
) -> list[Any]:
    # Row by row, because that is how objects come.
    if set(readers.values()) <= {read_attribute}:
        return [getattr(one, field.name, None) for one in objects]
    pairs = zip(classes, objects, strict=True)
    return [readers[found](one, field) for found, one in pairs]

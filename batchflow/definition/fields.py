"""The fields of a workflow's object, each stored in a typed column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from batchflow.definition.annotation import hints_of, init_problems, shown
from batchflow.definition.field_type import UTC, FieldType, Kind, Precision
from batchflow.errors import DefinitionError

__all__ = ["ENGINE_COLUMNS", "UTC", "Field", "FieldType", "Kind", "Precision", "fields_of"]

ENGINE_COLUMNS: Final = (
    "seq",
    "run_id",
    "foreign_id",
    "status",
    "run_state",
    "version",
    "attempt",
    "next_attempt_at",
    "reason",
    "created_at",
    "updated_at",
)
"""The engine's own columns of a run. A field's column can't have one of these names."""

# Every DuckDB table has a ``rowid``, quoted or not.
_RESERVED_COLUMNS: Final = (*ENGINE_COLUMNS, "rowid")
_RESERVED_PREFIX: Final = "_batchflow_"

# The classes that a default may have besides its field's class. A bool is never a number.
_DEFAULTS: Final[dict[Kind, tuple[type[Any], ...]]] = {
    Kind.FLOAT: (float, int),
    Kind.DECIMAL: (int,),
}


@dataclass(frozen=True)
class Field:
    """One field of the object and how it is stored.

    Attributes:
        name: The field's name in Python and in chunks.
        column: The column's name in the store: the field's name, or ``object_<name>`` if the
            engine has a column of that name.
        type: The field's type.
        required: Whether the field has no default.
        default: The default value; meaningless if the field is required or has a factory.
        default_factory: The function that creates the default value, if there is one.
    """

    name: str
    column: str
    type: FieldType
    required: bool = True
    default: Any = None
    default_factory: Callable[[], Any] | None = None

    @property
    def nullable(self) -> bool:
        """Return whether a value may be None."""
        return self.type.nullable

    def default_value(self) -> Any:
        """Return the default value, newly created if the field has a factory.

        Raises:
            DefinitionError: The field has no default.
        """
        if self.required:
            raise DefinitionError(f"Field {self.name!r} has no default. Give it a value.")
        return self.default if self.default_factory is None else self.default_factory()


def fields_of(object_type: Any) -> tuple[Field, ...]:
    """Return the fields of a dataclass in their order.

    Raises:
        DefinitionError: It is no dataclass, or has fields that can't be columns. All problems are
            listed.
    """
    if not isinstance(object_type, type) or not dataclasses.is_dataclass(object_type):
        raise DefinitionError(
            f"The object type is {shown(object_type)}, which is not a dataclass. Give a class that "
            "is decorated with @dataclass."
        )
    _require_no_reserved_names(object_type)
    problems = list(init_problems(object_type))
    types = hints_of(object_type, problems, (object_type,))
    fields = tuple(
        _field(declared, types[declared.name])
        for declared in dataclasses.fields(object_type)
        if declared.name in types
    )
    problems.extend(_colliding(fields))
    problems.extend(problem for field in fields for problem in _unfit_default(field))
    if problems:
        raise DefinitionError(problems=problems)
    return fields


def _field(declared: dataclasses.Field[Any], field_type: FieldType) -> Field:
    has_default = declared.default is not dataclasses.MISSING
    factory = declared.default_factory
    return Field(
        name=declared.name,
        column=_column(declared.name),
        type=field_type,
        required=not has_default and factory is dataclasses.MISSING,
        default=declared.default if has_default else None,
        default_factory=None if factory is dataclasses.MISSING else factory,
    )


def _column(name: str) -> str:
    return f"object_{name}" if name.lower() in _RESERVED_COLUMNS else name


def _colliding(fields: tuple[Field, ...]) -> Iterator[str]:
    names = {field.name.lower(): field.name for field in fields}
    for field in fields:
        taken = names.get(field.column.lower(), field.name)
        if field.name not in (field.column, taken):
            yield (
                f"Field {field.name!r} is stored in column {field.column!r}, because the engine "
                f"has a column {field.name.lower()!r}; so is field {taken!r}. Rename one of them."
            )


def _require_no_reserved_names(object_type: type[Any]) -> None:
    """Raise an error for a reserved name, with which no other check can be made."""
    names = [field.name for field in dataclasses.fields(object_type)]
    reserved = [
        name
        for name in names
        if name.startswith(_RESERVED_PREFIX) or (name.startswith("__") and name.endswith("__"))
    ]
    if reserved:
        raise DefinitionError(
            f"Field {reserved[0]!r} of {shown(object_type)} has a name that Python or batchflow "
            "reserves. Rename it."
        )


def _unfit_default(field: Field) -> Iterator[str]:
    if field.required or field.default_factory is not None:
        return
    if field.default is None and not field.nullable:
        yield f"Field {field.name!r} has default None, but type {field.type}. Add '| None' to it."
    if field.default is not None and not _fits(field):
        yield (
            f"Field {field.name!r} has a default of type {shown(type(field.default))}, but type "
            f"{field.type}. Give a default of its type."
        )


def _fits(field: Field) -> bool:
    if isinstance(field.default, bool):
        return field.type.kind is Kind.BOOL
    allowed = (field.type.python, *_DEFAULTS.get(field.type.kind, ()))
    return isinstance(field.default, allowed)

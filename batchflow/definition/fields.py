"""The fields of an object, each a typed column."""

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
"""The columns of a run that are the engine's own; no field's column may bear such a name."""

# Every table of DuckDB's has one of its own, which an unquoted or a quoted name both mean.
_TAKEN: Final = (*ENGINE_COLUMNS, "rowid")
_OUR_PREFIX: Final = "_batchflow_"

# What a default may be besides its field's own class; a bool, though an int, is never a number.
_DEFAULTS: Final[dict[Kind, tuple[type[Any], ...]]] = {
    Kind.FLOAT: (float, int),
    Kind.DECIMAL: (int,),
}


@dataclass(frozen=True)
class Field:
    """Say how one field of the object is kept.

    Attributes:
        name: the field's name in Python, and in a chunk.
        column: its column's name in the store: the same, or ``object_<name>`` where that is a
            column of the engine's.
        type: what it holds.
        required: whether it has no default.
        default: its default value; means nothing where it is required or has a factory.
        default_factory: what makes its default value, if that is made anew each time.
    """

    name: str
    column: str
    type: FieldType
    required: bool = True
    default: Any = None
    default_factory: Callable[[], Any] | None = None

    @property
    def nullable(self) -> bool:
        """Tell whether None is a value of it."""
        return self.type.nullable

    def default_value(self) -> Any:
        """Return the value it has where none is given, made anew if it has a factory.

        Raises:
            DefinitionError: it has no default.
        """
        if self.required:
            raise DefinitionError(f"field {self.name!r} has no default; give it a value")
        return self.default if self.default_factory is None else self.default_factory()


def fields_of(object_type: Any) -> tuple[Field, ...]:
    """Return the fields of a dataclass in their order.

    Raises:
        DefinitionError: it is no dataclass, or some of its fields can't be columns; lists all.
    """
    if not isinstance(object_type, type) or not dataclasses.is_dataclass(object_type):
        raise DefinitionError(
            f"the object type is {shown(object_type)}, which is no dataclass; give the class, "
            "decorated with @dataclass"
        )
    _refuse_reserved_names(object_type)
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
    return f"object_{name}" if name.lower() in _TAKEN else name


def _colliding(fields: tuple[Field, ...]) -> Iterator[str]:
    names = {field.name.lower(): field.name for field in fields}
    for field in fields:
        taken = names.get(field.column.lower(), field.name)
        if field.name not in (field.column, taken):
            yield (
                f"field {field.name!r} is kept as column {field.column!r}, as the engine has a "
                f"column {field.name.lower()!r} of its own, and so is field {taken!r}; rename one"
            )


def _refuse_reserved_names(object_type: type[Any]) -> None:
    """Refuse names with a meaning of their own; with some of them nothing else can be asked."""
    names = [field.name for field in dataclasses.fields(object_type)]
    reserved = [
        name
        for name in names
        if name.startswith(_OUR_PREFIX) or (name.startswith("__") and name.endswith("__"))
    ]
    if reserved:
        raise DefinitionError(
            f"field {reserved[0]!r} of {shown(object_type)} has a name that Python or batchflow "
            "needs itself; rename it"
        )


def _unfit_default(field: Field) -> Iterator[str]:
    if field.required or field.default_factory is not None:
        return
    if field.default is None and not field.nullable:
        yield f"field {field.name!r} has default None, but type {field.type}; add '| None' to it"
    if field.default is not None and not _fits(field):
        yield (
            f"field {field.name!r} has a default of type {shown(type(field.default))}, but type "
            f"{field.type}; give one of its type"
        )


def _fits(field: Field) -> bool:
    if isinstance(field.default, bool):
        return field.type.kind is Kind.BOOL
    allowed = (field.type.python, *_DEFAULTS.get(field.type.kind, ()))
    return isinstance(field.default, allowed)

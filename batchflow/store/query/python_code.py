"""Values of objects as Python code that makes them, with the imports that it needs."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import sys
import uuid
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from batchflow.definition.field_type import FieldType, Kind

_INDENT: Final = "    "
_PLACEHOLDERS: Final[dict[Kind, Any]] = {
    Kind.BOOL: False,
    Kind.INT: 0,
    Kind.FLOAT: 0.0,
    Kind.STR: "",
    Kind.BYTES: b"",
    Kind.DECIMAL: decimal.Decimal(0),
    Kind.DATE: dt.date(1970, 1, 1),
    Kind.DATETIME: dt.datetime(1970, 1, 1),  # noqa: DTZ001 - of a field without a time zone
    Kind.DATETIME_UTC: dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
    Kind.TIMEDELTA: dt.timedelta(0),
    Kind.UUID: uuid.UUID(int=0),
    Kind.LIST: [],
    Kind.MAP: {},
}


def placeholder(field_type: FieldType) -> Any:
    """Return a value of a type that says nothing about a run."""
    if field_type.nullable:
        return None
    if field_type.kind is Kind.ENUM:
        members: Any = field_type.python
        return next(iter(members))
    if field_type.kind is Kind.STRUCT:
        values = {name: placeholder(child) for name, child in field_type.children}
        return field_type.python(**values)
    return _PLACEHOLDERS[field_type.kind]


class PythonCode:
    """Writes values as code, and notes what has to be imported.

    Attributes:
        imports: The lines of the imports, and comments for classes that can't be imported.
        folders: The folders in which the modules are found.
    """

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.folders: set[str] = set()

    def of(self, value: Any, depth: int = 0) -> str:
        """Return the code of a value."""
        if is_dataclass(value) and not isinstance(value, type):
            members = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
            return self.call(type(value), members, depth)
        for kinds, write in _WRITERS:
            if isinstance(value, kinds):
                return write(self, value, depth)
        return repr(value)

    def items(self, value: Any, depth: int) -> str:
        """Return the code of a collection: a list, or a call of another class with a list."""
        listed = f"[{', '.join(self.of(item, depth) for item in value)}]"
        return listed if isinstance(value, list) else f"{type(value).__name__}({listed})"

    def mapping(self, value: dict[Any, Any], depth: int) -> str:
        """Return the code of a dict."""
        pairs = (f"{self.of(key)}: {self.of(each, depth)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"

    def member(self, value: enum.Enum) -> str:
        """Return the code of an enum's member."""
        return f"{self.name_of(type(value))}[{value.name!r}]"

    def of_module(self, module: str, code: str) -> str:
        """Return the code that uses a module, and note its import."""
        self.imports.add(f"import {module}")
        return f"{module}.{code}"

    def call(self, made: type[Any], members: dict[str, Any], depth: int = 0) -> str:
        """Return the call of a class with these arguments."""
        inner = _INDENT * (depth + 1)
        lines = (f"{inner}{name}={self.of(value, depth + 1)},\n" for name, value in members.items())
        return f"{self.name_of(made)}(\n{''.join(lines)}{_INDENT * depth})"

    def name_of(self, defined: Any) -> str:
        """Return the name of a class or a function, and note its import."""
        outer, *inner = defined.__qualname__.split(".")
        if "<locals>" in inner:
            self.imports.add(f"# {defined.__qualname__} is defined within a function: move it out.")
            return str(inner[-1])
        self.imports.add(f"from {self.module_of(defined.__module__)} import {outer}")
        return str(defined.__qualname__)

    def module_of(self, name: str) -> str:
        """Return the name by which a module can be imported, and note its folder."""
        file: str | None = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            return name
        path = Path(file)
        if name == "__main__":
            self.folders.add(str(path.parent))
            return path.stem
        is_package = path.stem == "__init__"
        folder = path.parents[name.count(".") + is_package]
        if "site-packages" not in folder.parts and not folder.is_relative_to(sys.base_prefix):
            self.folders.add(str(folder))
        return name


def _time(code: PythonCode, value: Any, _: int) -> str:
    return code.of_module("datetime", f'{type(value).__name__}.fromisoformat("{value}")')


def _duration(code: PythonCode, value: dt.timedelta, _: int) -> str:
    return code.of_module("datetime", repr(value).removeprefix("datetime."))


def _float(_: PythonCode, value: float, __: int) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'


_Writer: TypeAlias = Callable[[PythonCode, Any, int], str]
_WRITERS: Final[tuple[tuple[Any, _Writer], ...]] = (
    (enum.Enum, lambda code, value, _: code.member(value)),
    (float, _float),
    (dt.date | dt.time, _time),
    (dt.timedelta, _duration),
    (uuid.UUID, lambda code, value, _: code.of_module("uuid", f'UUID("{value}")')),
    (decimal.Decimal, lambda code, value, _: code.of_module("decimal", f'Decimal("{value}")')),
    (list | tuple | set | frozenset, lambda code, value, depth: code.items(value, depth)),
    (dict, lambda code, value, depth: code.mapping(value, depth)),
)

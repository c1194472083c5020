"""Find the variables that code uses if it crosses to workers by value."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAINS: Final = ("__main__", "__mp_main__")
_CONSTANTS: Final = (int, float, str, bytes)


@dataclass(frozen=True, slots=True, eq=False)
class UsedVariable:
    """A global or nonlocal variable, and its value when it was found.

    Attributes:
        name: Its name.
        value: Its value at that time.
        namespace: The globals that have it; None for a nonlocal one.
    """

    name: str
    value: Any
    namespace: Mapping[str, Any] | None


def used_variables(code: Any) -> Iterator[UsedVariable]:
    """Yield the variables that a function or class uses, itself and through its helpers.

    What a module defines that workers import is left out: it crosses by name.
    """
    waiting, seen = [code], {id(code)}
    while waiting:
        for function in _functions_of(waiting.pop()):
            for variable in _variables_of(function):
                if id(variable.value) in seen and variable.namespace is None:
                    continue
                yield variable
                if id(variable.value) not in seen:
                    seen.add(id(variable.value))
                    waiting.append(variable.value)


def is_redefined(variable: UsedVariable) -> bool:
    """Return whether a global variable has another value now, apart from an equal constant.

    A function that was defined again by the same code counts as the same.
    """
    before, now = variable.value, (variable.namespace or {}).get(variable.name, variable.value)
    if now is before or type(now) is not type(before):
        return now is not before
    if isinstance(now, types.FunctionType):
        return not _is_same_code(now, before)
    return not isinstance(now, _CONSTANTS) or bool(now != before)


def _is_same_code(one: types.FunctionType, other: types.FunctionType) -> bool:
    plain = not (one.__closure__ or one.__defaults__ or one.__kwdefaults__)
    return plain and one.__code__ == other.__code__


def crosses_by_value(value: Any) -> bool:
    """Return whether a function or class is sent as its code, and not by its name."""
    return value.__module__ in MAINS or "<locals>" in value.__qualname__


def _functions_of(value: Any) -> list[types.FunctionType]:
    match value:
        case types.FunctionType():
            return [value] if crosses_by_value(value) else []
        case types.MethodType():
            return _functions_of(value.__func__)
        case functools.partial():
            return _functions_of(value.func)
        case type():
            members = list(vars(value).values()) if crosses_by_value(value) else []
            return [each for member in members for each in _functions_of(_unwrapped(member))]
        case _:
            wrapped = _unwrapped(value)
            return [] if wrapped is value else _functions_of(wrapped)


def _unwrapped(value: Any) -> Any:
    """Return the function behind a decorator of the standard library, or the value itself."""
    match value:
        case property():
            return value.fget
        case functools.cached_property():
            return value.func
        case staticmethod() | classmethod():
            return value.__func__
        case _:
            return vars(value)["__wrapped__"] if type(value) is CACHED else value


# The standard library has no name for this class.
CACHED: Final[type] = type(functools.cache(len))


def _variables_of(function: types.FunctionType) -> Iterator[UsedVariable]:
    namespace = function.__globals__
    for name in _global_names(function.__code__):
        if name in namespace:
            yield UsedVariable(name, namespace[name], namespace)
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            yield UsedVariable(name, cell.cell_contents, None)
        except ValueError:
            continue  # It has no value yet.


@functools.lru_cache(maxsize=512)
def _global_names(code: types.CodeType) -> frozenset[str]:
    own = {one.argval for one in dis.get_instructions(code) if one.opname in _READS_GLOBAL}
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return frozenset(own).union(*map(_global_names, inner))


_READS_GLOBAL: Final = ("LOAD_GLOBAL", "LOAD_NAME")

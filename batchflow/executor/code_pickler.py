"""Pickle code for workers; what `__main__` or a notebook defines crosses by value, with its source.

Some objects that a script defines beside its steps can't be pickled, although a worker that imports
them from a module has them. These cross as new ones, as an import in the worker would make them.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import linecache
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, MappingProxyType
from typing import Any, Final

import cloudpickle

from batchflow.executor.used_variables import CACHED, crosses_by_value
from batchflow.worker.code_loading import cached, code_of_file, context_variable

_MOST_SOURCE_CHARACTERS: Final = 1_000_000

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


def dumped(code: object) -> bytes:
    """Return code as bytes for `batchflow.worker.code_loading`; raise if a part can't be sent."""
    file = io.BytesIO()
    pickler = _CodePickler(file)
    with _children_of_multiprocessing_by_value():
        pickler.dump(code)
    sent: bytes = cloudpickle.dumps((pickler.sources(), file.getvalue()))
    return sent


@contextlib.contextmanager
def _children_of_multiprocessing_by_value() -> Iterator[None]:
    """Pickle by value what a spawned child's main script defines; no worker can import it."""
    module = sys.modules.get("__mp_main__")
    if module is None or module.__name__ in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


class _CodePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Also pickles what scripts define beside their functions; notes the files of the code."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._files: set[str] = set()

    def sources(self) -> dict[str, list[str]]:
        """Return the lines of notebooks' cells and other code without a file, by file name."""
        found: dict[str, list[str]] = {}
        left = _MOST_SOURCE_CHARACTERS
        for name in sorted(self._files):
            lines = _lines_in_memory(name)
            left -= sum(map(len, lines))
            if lines and left >= 0:
                found[name] = lines
        return found

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is CodeType:
            self._files.add(obj.co_filename)
            make, arguments = self.dispatch_table[CodeType](obj)
            return code_of_file, (obj.co_filename, make, arguments)
        reduced = _as_new(obj) or super().reducer_override(obj)
        return _with_full_name(obj, reduced) if isinstance(obj, type) else reduced


def _lines_in_memory(name: str) -> list[str]:
    """Return the lines of a file that only this process has, as a notebook registers its cells."""
    entry = linecache.cache.get(name)
    # Lines that were read from a file have the time of its last change; a worker reads it, too.
    return list(entry[2]) if entry is not None and len(entry) == 4 and entry[1] is None else []


def _as_new(obj: Any) -> Reduced | None:
    """Return how a worker makes such an object anew; None for objects that cross as they are."""
    kind = type(obj)
    if kind is CACHED and crosses_by_value(obj):
        return cached, (obj.__wrapped__, obj.cache_parameters())
    if kind is contextvars.ContextVar:
        return context_variable, (obj.name, *_default(obj))
    if kind is weakref.WeakKeyDictionary:
        return weakref.WeakKeyDictionary, (dict(obj),)
    if kind is MappingProxyType:
        return MappingProxyType, (dict(obj),)
    make = _MADE_ANEW.get(kind)
    return None if make is None else (make, ())


_MADE_ANEW: Final[dict[type, Callable[[], Any]]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.local: threading.local,
}


def _with_full_name(cls: type, reduced: Any) -> Any:
    """Let a class that crosses by value keep the name that errors show; cloudpickle shortens it."""
    match reduced:
        case [make, arguments, [members, slots], *others]:
            named = {**members, "__qualname__": cls.__qualname__}
            return make, arguments, (named, slots), *others
    return reduced


def _default(variable: contextvars.ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return (contextvars.Context().run(variable.get),)
    except LookupError:
        return ()

"""The import path of workers: the folders in which this process finds its modules."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.machinery import FileFinder, ModuleSpec


def import_path() -> list[str]:
    """Return `sys.path` with absolute paths, as they were when this process imported from them.

    A relative entry, or the empty one for the working directory, means another folder after
    `os.chdir`, but the modules that were imported before it are still in the former one.
    """
    path: list[str] = []
    for entry in _entries():
        if entry:
            path.append(_absolute(entry))
        else:
            path += _former_working_directories()
            # The working directory may have been removed.
            with contextlib.suppress(FileNotFoundError):
                path.append(os.getcwd())
    return list(dict.fromkeys(path))


def _entries() -> list[str]:
    # The import system skips entries of other types, such as `Path`.
    entries: list[object] = [*sys.path]
    return [entry for entry in entries if isinstance(entry, str)]


def _absolute(entry: str) -> str:
    finder = sys.path_importer_cache.get(entry)
    # A finder keeps the folder of the time when the entry was first used.
    return finder.path if isinstance(finder, FileFinder) else os.path.abspath(entry)


def _former_working_directories() -> list[str]:
    """Return the folders that the empty entry stood for when modules were imported from them."""
    known = set(map(_absolute, filter(None, _entries())))
    folders = (_folder_of(module) for module in list(sys.modules.values()))
    used = dict.fromkeys(folder for folder in folders if folder is not None)
    # The import system has a finder under the name of each working directory that it searched.
    return [
        folder
        for folder in used
        if folder not in known and isinstance(sys.path_importer_cache.get(folder), FileFinder)
    ]


def _folder_of(module: object) -> str | None:
    """Return the folder of `sys.path` that a top-level module was imported from, if any."""
    spec = getattr(module, "__spec__", None)
    if not isinstance(spec, ModuleSpec) or spec.origin is None or "." in spec.name:
        return None
    folder = os.path.dirname(spec.origin)
    return os.path.dirname(folder) if spec.submodule_search_locations else folder

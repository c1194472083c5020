"""The versions and the code that a coordinator and its nodes have to share."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import batchflow

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow

_LIBRARIES: Final = ("numpy", "pyarrow")
_LIBRARY_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY: Final = sysconfig.get_path("stdlib")
_OWN_FOLDER: Final = Path(batchflow.__file__).parent


def versions() -> dict[str, str]:
    """Return the versions of this process that matter for the data between two processes."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"batchflow": batchflow.__version__, "Python": python, **libraries}


def differences(theirs: bytes) -> str:
    """Return in which versions another process differs from this one; empty if in none.

    Args:
        theirs: The versions of the other process, as JSON; anything else is no known version.
    """
    try:
        known = {name: str(version)[:50] for name, version in dict(json.loads(theirs)).items()}
    except (ValueError, TypeError, RecursionError):
        known = {}
    return " and ".join(
        f"{name} {known.get(name, 'of no known version')}, and this process has {name} {version}"
        for name, version in versions().items()
        if known.get(name) != version
    )


def module_digests(workflows: Mapping[str, AnyWorkflow]) -> dict[str, str]:
    """Return a digest of the source of each module that workers import for the workflows.

    These are the modules that define them, and what these use of other modules of the user's.
    Code that crosses by value is left out: it is the same everywhere.
    """
    waiting = {name for flow in workflows.values() for name in _defining_modules(flow)}
    digests: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        source = None if module is None else _source_of(module)
        if module is None or source is None or name in digests:
            continue
        digests[name] = _digest(source)
        waiting |= set(_modules_used_by(module)) - digests.keys()
    return digests


def differing_modules(digests: Mapping[str, str]) -> list[str]:
    """Return the names of the modules that this process would import with other source."""
    return sorted(name for name, digest in digests.items() if _digest_here(name) != digest)


def _digest_here(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    path = None if spec is None else spec.origin
    return None if path is None or not Path(path).is_file() else _digest(Path(path))


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def _defining_modules(workflow: AnyWorkflow) -> Iterator[str]:
    functions: list[Callable[..., Any] | None] = [
        workflow.object_type,
        workflow.status_type,
        *workflow.resources.values(),
        *(step.function for step in workflow.steps.values()),
    ]
    for function in functions:
        name = getattr(function, "__module__", None)
        if isinstance(name, str):
            yield name


def _modules_used_by(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
        else:
            # Attributes of other objects may be computed by code of the user's.
            yield (value if isinstance(value, type | FunctionType) else type(value)).__module__


def _source_of(module: ModuleType) -> Path | None:
    """Return the file of a module of the user's; None for libraries and scripts."""
    spec = getattr(module, "__spec__", None)
    path = None if spec is None else spec.origin
    if path is None or not path.endswith(".py") or module.__name__ == "__main__":
        return None
    file = Path(path)
    if _LIBRARY_FOLDERS.intersection(file.parts) or file.is_relative_to(_STANDARD_LIBRARY):
        return None
    return None if file.is_relative_to(_OWN_FOLDER) else file

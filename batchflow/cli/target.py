"""Names of workflows on the command line: ``pipeline.py:orders``, ``package.module:a,b``."""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.output import prints_to_stderr

if TYPE_CHECKING:
    from batchflow.definition import Workflow

_OWN_FOLDER = os.path.dirname(__file__)
_IMPORT_MACHINERY = ("<frozen importlib", os.path.dirname(importlib.__file__))


@dataclass(frozen=True)
class Target:
    """A module or file, and the names of workflows in it."""

    module: str
    names: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        """Return whether the target names a file."""
        return self.module.endswith(".py") or os.sep in self.module


class BrokenModuleError(Exception):
    """The user's module can't be imported; the message has the user's part of the traceback."""


class TargetType(click.ParamType[Target]):
    """``MODULE_OR_FILE:WORKFLOW[,WORKFLOW...]``."""

    name = "target"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Split the text; nothing is imported yet."""
        if isinstance(value, Target):
            return value
        module, _, listed = str(value).rpartition(":")
        names = tuple(name.strip() for name in listed.split(","))
        if not module or not all(names):
            self.fail(
                f"{value!r} names no workflow. Give pipeline.py:orders or "
                "package.module:orders,refunds.",
                param,
                ctx,
            )
        return Target(module, names)


def load_workflows(target: Target) -> list[Workflow[Any, Any]]:
    """Import the target's module, under the name that workers will use too.

    Raises:
        click.UsageError: There is no such file, module or workflow.
        BrokenModuleError: The module raises when it is imported.
    """
    module = _imported(target)
    return [_workflow(target, module, name) for name in target.names]


def load_function(module: str, name: str) -> Callable[..., Any]:
    """Import a function from a module or file, under the name that workers will use too.

    Raises:
        click.UsageError: There is no such file, module or function.
        BrokenModuleError: The module raises when it is imported.
    """
    found = getattr(_imported(Target(module, (name,))), name, None)
    if not callable(found):
        raise click.UsageError(f"{module} has no function {name!r}. Give one that it has.")
    function: Callable[..., Any] = found
    return function


def _imported(target: Target) -> ModuleType:
    return _import_file(target.module) if target.is_file else _import_module(target.module)


def _workflow(target: Target, module: ModuleType, name: str) -> Workflow[Any, Any]:
    from batchflow.definition import Workflow

    found = getattr(module, name, None)
    if isinstance(found, Workflow):
        return found
    names = [key for key, value in vars(module).items() if isinstance(value, Workflow)]
    other = "" if found is None else f"; {name!r} is of type {type(found).__name__}"
    raise click.UsageError(
        f"{target.module} has no workflow {name!r}{other}. "
        f"Its workflows are: {', '.join(names) or 'none'}."
    )


def _import_file(text: str) -> ModuleType:
    path = Path(text).resolve()
    if not path.is_file():
        raise click.UsageError(f"There is no file {text!r}. Give the path of a Python file.")
    _refuse_unless_importable(text, path)
    sys.path.insert(0, str(path.parent))
    return _import(path.stem, text)


def _refuse_unless_importable(text: str, path: Path) -> None:
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise click.UsageError(
            f"Workers can't import {text!r}, because {path.name!r} isn't the file name of a Python "
            "module. Rename it, for example to orders_pipeline.py."
        )
    other = _other_module(name, path)
    if other is not None:
        raise click.UsageError(
            f"{text!r} has the same name as another module ({other}), which workers would import "
            f"instead. Rename it, for example to {name}_pipeline.py."
        )


def _other_module(name: str, path: Path) -> str | None:
    """Return the origin of another module of this name, or None."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        # A module without a spec, like __main__.
        return name
    if spec is None or spec.origin is None:
        return None
    return None if os.path.realpath(spec.origin) == str(path) else spec.origin


def _import_module(name: str) -> ModuleType:
    # Modules in the working directory are found, as with `python -m`.
    sys.path.insert(0, str(Path.cwd()))
    return _import(name, name)


def _import(name: str, shown: str) -> ModuleType:
    try:
        with prints_to_stderr():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, name):
            raise click.UsageError(
                f"There is no module {error.name!r}. Give a module that Python finds from the "
                "working directory, or a file like pipeline.py."
            ) from error
        raise BrokenModuleError(f"{user_traceback(error)}{shown} can't be imported.") from error


def _is_part(missing: str | None, name: str) -> bool:
    """Return whether the missing module is the target, or a package that contains it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def user_traceback(error: BaseException) -> str:
    """Return the traceback from the first frame of the user's code."""
    summary = traceback.TracebackException.from_exception(error)
    frames = list(summary.stack)
    while frames and _is_internal(frames[0].filename):
        del frames[0]
    summary.stack = traceback.StackSummary.from_list(frames)
    return "".join(summary.format())


def _is_internal(filename: str) -> bool:
    return filename.startswith((_OWN_FOLDER, *_IMPORT_MACHINERY))

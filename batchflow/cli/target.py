"""Workflows as the command line names them: ``pipeline.py:orders``, ``package.module:a,b``."""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import os
import sys
import traceback
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
        """Whether a file is meant."""
        return self.module.endswith(".py") or os.sep in self.module


class BrokenModuleError(Exception):
    """The user's module can't be imported; ``str`` is the user's own part of the traceback."""


class TargetType(click.ParamType[Target]):
    """``MODULE_OR_FILE:WORKFLOW[,WORKFLOW...]``."""

    name = "target"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Take it apart; nothing is imported yet."""
        if isinstance(value, Target):
            return value
        module, _, listed = str(value).rpartition(":")
        names = tuple(name.strip() for name in listed.split(","))
        if not module or not all(names):
            self.fail(
                f"{value!r} doesn't say which workflow; give pipeline.py:orders, "
                "or package.module:orders,refunds",
                param,
                ctx,
            )
        return Target(module, names)


def load_workflows(target: Target) -> list[Workflow[Any, Any]]:
    """Import what the target names; the workers will import it under the same name.

    Raises:
        click.UsageError: there is no such file, module or workflow.
        BrokenModuleError: the module raises when it is imported.
    """
    module = _imported_file(target.module) if target.is_file else _imported(target.module)
    return [_workflow(target, module, name) for name in target.names]


def _workflow(target: Target, module: ModuleType, name: str) -> Workflow[Any, Any]:
    from batchflow.definition import Workflow

    found = getattr(module, name, None)
    if isinstance(found, Workflow):
        return found
    there = [key for key, value in vars(module).items() if isinstance(value, Workflow)]
    what = "is not there" if found is None else f"is of type {type(found).__name__}"
    raise click.UsageError(
        f"{target.module} has no workflow {name!r} (it {what}); "
        f"its workflows are: {', '.join(there) or 'none'}."
    )


def _imported_file(text: str) -> ModuleType:
    path = Path(text).resolve()
    if not path.is_file():
        raise click.UsageError(f"There is no file {text!r}; give the path of a Python file.")
    _refuse_unless_importable(text, path)
    sys.path.insert(0, str(path.parent))
    return _executed(path.stem, text)


def _refuse_unless_importable(text: str, path: Path) -> None:
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise click.UsageError(
            f"{text!r} can't be imported by the workers, as {path.name!r} is no module's file "
            "name; call it something like orders_pipeline.py."
        )
    other = _other_module(name, path)
    if other is not None:
        raise click.UsageError(
            f"{text!r} has the name of another module ({other}), and the workers would import "
            f"that one; call it something like {name}_pipeline.py."
        )


def _other_module(name: str, path: Path) -> str | None:
    """Answer where another module of this name comes from, if there is one."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        # A module without a spec, like __main__.
        return name
    if spec is None or spec.origin is None:
        return None
    return None if os.path.realpath(spec.origin) == str(path) else spec.origin


def _imported(name: str) -> ModuleType:
    # Where one stands is what one means, as with `python -m`.
    sys.path.insert(0, str(Path.cwd()))
    return _executed(name, name)


def _executed(name: str, shown: str) -> ModuleType:
    try:
        with prints_to_stderr():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, name):
            raise click.UsageError(
                f"There is no module {error.name!r}; give a module that Python finds from here, "
                "or a file like pipeline.py."
            ) from error
        raise BrokenModuleError(f"{users_traceback(error)}{shown} can't be imported.") from error


def _is_part(missing: str | None, name: str) -> bool:
    """Tell whether what wasn't found is the module asked for, or a package around it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def users_traceback(error: BaseException) -> str:
    """Answer the traceback from where the user's own code begins."""
    told = traceback.TracebackException.from_exception(error)
    frames = list(told.stack)
    while frames and _is_ours(frames[0].filename):
        del frames[0]
    told.stack = traceback.StackSummary.from_list(frames)
    return "".join(told.format())


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OWN_FOLDER, *_IMPORT_MACHINERY))

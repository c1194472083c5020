"""A folder with a test that fails as a run did."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchflow.definition.description import RestoredWorkflow
from batchflow.definition.type_description import describe_type
from batchflow.definition.workflow import Workflow
from batchflow.errors import ExportError, InvalidOptionError, RunNotFoundError
from batchflow.operation.options import run_id_or_none
from batchflow.store.query.python_code import PythonCode, placeholder
from batchflow.store.query.stored_run import read_run

if TYPE_CHECKING:
    from uuid import UUID

    from batchflow.definition import AnyWorkflow
    from batchflow.definition.step import Step
    from batchflow.store.query.catalog import Catalog, FoundRun
    from batchflow.store.query.questions import Questions
    from batchflow.store.query.source import Source
    from batchflow.store.query.stored_run import StoredRun

TEST: Final = "test_repro.py"
_PACKAGES: Final = ("batchflow-engine", "duckdb", "numpy", "pyarrow")


@dataclass(frozen=True)
class FailedRun:
    """A run with the failure that is to be repeated.

    Attributes:
        run: The run as it is stored now, with an object of the workflow's own classes.
        workflow: Its workflow, with the code of its steps.
        status: The name of the status where it failed.
        attempt: The number of the attempt.
        description: The cause in a line, with the words of the message.
        place: The type of the exception, and the place in the code.
        traceback: The traceback, or the message of a failure that has none.
    """

    run: StoredRun[Any, Any]
    workflow: AnyWorkflow
    status: str
    attempt: int
    description: str
    place: str
    traceback: str

    @property
    def step(self) -> Step:
        """The step that failed."""
        return self.workflow.steps[self.workflow.code_of(self.status)]


def find_failed(
    store: Questions,
    source: Source,
    catalog: Catalog,
    run: UUID | str | int,
    workflow: AnyWorkflow | str | None,
) -> FailedRun:
    """Return the last failure of a run, or of the latest run of a cause.

    Raises:
        RunNotFoundError: There is no such run or cause.
        InvalidOptionError: The run hasn't failed, or the workflow isn't the one with its code.
    """
    causes = store.errors(workflow=workflow)
    named = causes.filter("cause = $cause", {"cause": run}) if isinstance(run, str) else None
    latest = [] if named is None else named.select("run_id").fetchall()
    found = _found(store, latest[0][0] if latest else run, workflow)
    shown = store.errors(
        str(run) if latest else None, where=f"seq = {found.seq}", workflow=found.workflow
    ).order("last_seen DESC")
    columns = ("status", "attempt", "message", "traceback")
    failures = shown.all().limit(1).select(*columns).fetchall()
    if not failures:
        raise InvalidOptionError(f"Run {found.run_id} hasn't failed in any step.", option="run")
    [(status, attempt, message, traceback)] = failures
    where = "description, type || coalesce(' in ' || place, '')"
    [(description, place)] = shown.limit(1).select(where).fetchall()
    stored = catalog.definition(found.workflow)
    definition = workflow if isinstance(workflow, Workflow) else stored
    _require_code(definition, stored)
    # Not with `get`, whose object may have classes that were made from a description, in no module.
    return FailedRun(
        run=read_run(source, definition, found),
        workflow=definition,
        status=status,
        attempt=attempt,
        description=description,
        place=place,
        traceback=traceback or message,
    )


def _found(store: Questions, run: UUID | str | int, workflow: AnyWorkflow | str | None) -> FoundRun:
    try:
        return store.find(run, workflow=workflow)
    except RunNotFoundError:
        if run_id_or_none(run) is not None or not isinstance(run, str):
            raise
    raise RunNotFoundError(
        f"{run!r} is neither a run id, nor a foreign id, nor a cause of failures in this store; "
        "give a run that failed, or a cause as errors() lists it."
    )


def _require_code(given: AnyWorkflow, stored: AnyWorkflow) -> None:
    """Require a workflow that has code, and the same fields as the stored one."""
    if isinstance(given, RestoredWorkflow):
        raise InvalidOptionError(
            f"A client has no code of workflow {given.name!r}, which the test calls; give "
            "workflow= the workflow itself.",
            option="workflow",
        )
    known = {field.name: describe_type(field.type) for field in stored.fields}
    for field in given.fields:
        if known.get(field.name) != describe_type(field.type):
            raise InvalidOptionError(
                f"The store of workflow {given.name!r} has no field {field.name!r} of type "
                f"{field.type}; open it once with Engine(path, workflow), or give the workflow "
                "that wrote it.",
                option="workflow",
            )


def write_repro(failed: FailedRun, folder: str, *, values: bool) -> Path:
    """Write the test, and return its path.

    Raises:
        InvalidOptionError: The folder has a test already.
        ExportError: The folder can't be written.
    """
    path = Path(folder) / TEST
    test = _test(failed, values=values)
    try:
        if path.exists():
            raise InvalidOptionError(
                f"{str(path)!r} exists already; give another folder, or remove it.",
                option="folder",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(test, encoding="utf-8")
    except OSError as error:
        raise ExportError(
            f"{str(path)!r} can't be written: {error.strerror}. Give a folder that you may write."
        ) from error
    return path


def _test(failed: FailedRun, *, values: bool) -> str:
    code = PythonCode()
    made = _made(failed, values=values)
    instance = code.call(failed.workflow.object_type, made)
    workflow = _workflow(failed, code)
    body = _in_store(failed) if failed.step.function is None else _called(failed, values=values)
    folders = "".join(f"sys.path.insert(0, {folder!r})\n" for folder in sorted(code.folders))
    return (
        f'"""{_docstring(failed, values=values)}"""\n\n'
        f"import sys\n\n{folders}\n"
        + "".join(f"{line}\n" for line in sorted(code.imports))
        + f"{_tools(failed.step)}\n{workflow}\n\n\n"
        f"OBJECT = {instance}\n\n\n{body}"
    )


def _made(failed: FailedRun, *, values: bool) -> dict[str, Any]:
    return {
        field.name: getattr(failed.run.object, field.name) if values else placeholder(field.type)
        for field in failed.workflow.fields
    }


def _docstring(failed: FailedRun, *, values: bool) -> str:
    run, step = failed.run, failed.step
    lines = [f"Run {run.run_id} failed in step {step.name} at {failed.status}.", ""]
    if values:
        lines += [
            failed.description,
            "",
            f"`pytest {TEST}` fails as the run did, and passes once the step is mended. OBJECT is",
            "as it is stored now; an edit may have changed it since.",
            "",
            failed.traceback.strip(),
        ]
    else:
        lines += [
            failed.place,
            "",
            "OBJECT has placeholders. Fill in the values that make the step fail, or write this",
            "test again with values=True (--values), which copies the data of the run.",
        ]
    if failed.workflow.resources:
        names = ", ".join(failed.workflow.resources)
        lines += ["", f"Give the run its resources, resources={{...}}: {names}."]
    lines += ["", f"Written with {_versions()}."]
    return _in_docstring("\n".join(lines)) + "\n"


def _in_docstring(text: str) -> str:
    """Return a text as Python's source may have it: a NUL, say, can't be in it."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in escaped
    )


def _versions() -> str:
    found = [f"Python {platform.python_version()} ({sys.platform})"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _tools(step: Step) -> str:
    if step.function is None:
        return "from batchflow.testing import inline_engine"
    maker = "make_run" if step.kind.calls_each_run else "make_batch"
    return f"from batchflow.testing import call_step, {maker}"


def _workflow(failed: FailedRun, code: PythonCode) -> str:
    """Return the line that makes WORKFLOW the workflow, wherever it is defined."""
    step = failed.step
    homes = [failed.workflow.object_type.__module__]
    if step.function is not None:
        homes.append(step.function.__module__)
    for name in (*homes, *sorted(sys.modules)):
        for variable, value in list(vars(sys.modules.get(name, object)).items()):
            if value is failed.workflow:
                code.imports.add(f"from {code.module_of(name)} import {variable}")
                return f"\nWORKFLOW = {variable}"
    return "\nWORKFLOW = ...  # Import the workflow here."


def _called(failed: FailedRun, *, values: bool) -> str:
    made = "OBJECT" if failed.step.kind.calls_each_run else "[OBJECT]"
    maker = "make_run" if failed.step.kind.calls_each_run else "make_batch"
    facts = {"status": failed.status, "attempt": failed.attempt, "run_id": str(failed.run.run_id)}
    if values and failed.step.kind.calls_each_run:
        facts["foreign_id"] = failed.run.foreign_id
    elif values:
        facts["foreign_ids"] = [failed.run.foreign_id]
    given = "".join(f"        {name}={value!r},\n" for name, value in facts.items())
    return (
        "def test_the_step_does_not_fail():\n"
        f"    made = {maker}(\n        {made},\n        workflow=WORKFLOW,\n{given}    )\n"
        "    call_step(WORKFLOW, made)\n"
    )


def _in_store(failed: FailedRun) -> str:
    return (
        "def test_the_step_does_not_fail():\n"
        "    with inline_engine(WORKFLOW) as engine:\n"
        f"        engine.trigger('repro', OBJECT, at={failed.status!r})\n"
        "        engine.run(progress=False)\n"
        f"        failed = engine.errors(by='status').filter(\"status = '{failed.status}'\")\n"
        "        for (message,) in failed.select('message').fetchall():\n"
        "            raise AssertionError(message)\n"
    )

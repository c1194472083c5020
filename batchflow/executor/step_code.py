"""Send the workflows' code to workers, and find the step whose code can't be sent or loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchflow.errors import StepCodeError
from batchflow.executor.code_pickler import dumped
from batchflow.executor.used_variables import is_redefined, used_variables
from batchflow.executor.worker_process import WorkerProcess
from batchflow.worker.transport import InvalidMessageError, MessageKind

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.fork_server import ForkServer

log = logging.getLogger("batchflow")

_MOST_TRIES = 3

Workflows = Mapping[str, "AnyWorkflow"]


class SentCode:
    """The code of workflows as workers load it, until a notebook redefines what it uses.

    Attributes:
        data: The code, for workers.
        uses_loop: Whether a step is ``async``, or a resource is opened, in an event loop.
    """

    def __init__(self, workflows: Workflows) -> None:
        """Pickle the code.

        Raises:
            StepCodeError: It can't be sent.
        """
        self.data = pickled(workflows)
        functions = [function for _, _, function in _functions(workflows)]
        resources = [made for each in workflows.values() for made in each.resources.values()]
        steps = (step for each in workflows.values() for step in each.steps.values())
        self.uses_loop = bool(resources) or any(step.is_async for step in steps)
        used = (found for each in [*functions, *resources] for found in used_variables(each))
        self._variables = [each for each in used if each.namespace is not None]
        self._classes = {id(each.object_type) for each in workflows.values()}
        self._classes |= {id(each.status_type) for each in workflows.values()}

    def redefined(self) -> list[str]:
        """Return the names of the global variables that have other values now.

        It is empty if a workflow's own classes are among them: its steps would then answer with
        statuses that it doesn't have.
        """
        redefined = [each for each in self._variables if is_redefined(each)]
        if any(id(each.value) in self._classes for each in redefined):
            return []
        return sorted({each.name for each in redefined})


def log_replaced(names: Sequence[str]) -> None:
    """Log that workers get the code anew, because these global variables have other values."""
    log.info(
        "Workers are started again, because this was redefined: %s.",
        ", ".join(names),
        extra={"action": "replace_code", "names": names},
    )


def pickled(workflows: Workflows) -> bytes:
    """Return the workflows as bytes that a worker loads.

    Raises:
        StepCodeError: They can't be sent; the message names the step that is the reason, if any.
    """
    try:
        return dumped(dict(workflows))
    except Exception as error:
        culprit, function = _first(workflows, lambda function: not _can_be_dumped(function))
        name = None if function is None else _unpicklable_name(function)
        raise StepCodeError(
            f"The code of {culprit} can't be sent to worker processes: "
            f"{'' if name is None else f'{name}; '}{error}; open what a "
            "step needs in `resources`, or inside the step, or use workers=0."
        ) from error


def unloadable(workflows: Workflows, fork_server: ForkServer) -> str | None:
    """Name what can't be loaded in a worker; load each step by itself in one to find it.

    ``None`` if everything can be loaded, so the code isn't what ended the workers.
    """
    if _can_be_loaded(dict(workflows), fork_server):
        return None
    return _first(workflows, lambda function: not _can_be_loaded(function, fork_server))[0]


def _first(
    workflows: Workflows, is_culprit: Callable[[Callable[..., Any]], bool]
) -> tuple[str, Callable[..., Any] | None]:
    for workflow, step, function in _functions(workflows):
        if is_culprit(function):
            return f"step {step!r} of workflow {workflow!r}", function
    names = ", ".join(map(repr, workflows))
    return f"the object type or a resource of workflow {names}", None


def _unpicklable_name(function: Callable[..., Any]) -> str | None:
    """Describe the variable that keeps a function from being sent, followed through its helpers."""
    used = [each for each in used_variables(function) if not _can_be_dumped(each.value)]
    if not used:
        return None
    # The last one is the one that a helper uses, or a helper's helper.
    return f"{used[-1].name!r} is of type {type(used[-1].value).__name__}, which can't be sent"


def _functions(workflows: Workflows) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for workflow in workflows.values():
        for step in workflow.steps.values():
            if step.function is not None:
                yield workflow.name, step.name, step.function


def _can_be_dumped(function: Callable[..., Any]) -> bool:
    try:
        dumped(function)
    except Exception:
        return False
    return True


def _can_be_loaded(code: object, fork_server: ForkServer) -> bool:
    for _ in range(_MOST_TRIES):
        worker = WorkerProcess(fork_server, dumped(code), capacity=0)
        try:
            message = worker.await_message()
        except InvalidMessageError:
            return False
        finally:
            worker.kill()
        if message is not None:
            return message.kind is MessageKind.READY
        if not worker.ended_with_fork_server:
            return False
    # Something else ends the fork server, again and again.
    return True

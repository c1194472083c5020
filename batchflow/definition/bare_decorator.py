"""Refuse a decorator of steps that is written without its parentheses."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from batchflow.errors import DefinitionError

SelfT = TypeVar("SelfT")
ResultT = TypeVar("ResultT")
Params = ParamSpec("Params")


def with_parentheses(
    method: Callable[Concatenate[SelfT, Params], ResultT],
) -> Callable[Concatenate[SelfT, Params], ResultT]:
    """Return the method, which raises a DefinitionError if it is given nothing but a function."""

    @functools.wraps(method)
    def checked(self: SelfT, /, *args: Params.args, **kwargs: Params.kwargs) -> ResultT:
        if args and not kwargs and callable(args[0]) and not isinstance(args[0], enum.Enum):
            raise DefinitionError(
                f"The decorator {method.__name__!r} has no statuses. Write "
                f"@workflow.{method.__name__}(status, to=next_status) with members of the "
                "workflow's statuses."
            )
        return method(self, *args, **kwargs)

    return checked

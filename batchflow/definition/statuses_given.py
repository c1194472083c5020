"""Refuse a call that adds a step without the statuses that it leads from and to."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, TypeVar

from batchflow.errors import DefinitionError

SelfT = TypeVar("SelfT")
ResultT = TypeVar("ResultT")
Params = ParamSpec("Params")
Method = Callable[Concatenate[SelfT, Params], ResultT]


def with_statuses(
    right_form: str,
) -> Callable[[Method[SelfT, Params, ResultT]], Method[SelfT, Params, ResultT]]:
    """Return a decorator of methods that refuse a call without a status or without `to`.

    The DefinitionError of such a call shows the right form.
    """

    def decorate(method: Method[SelfT, Params, ResultT]) -> Method[SelfT, Params, ResultT]:
        @functools.wraps(method)
        def checked(self: SelfT, /, *args: Params.args, **kwargs: Params.kwargs) -> ResultT:
            found = _mistake(args, kwargs)
            if found is not None:
                raise DefinitionError(
                    f"{method.__name__!r} is called {found}. Write {right_form} with members of "
                    "the workflow's statuses."
                )
            return method(self, *args, **kwargs)

        return checked

    return decorate


def _mistake(args: tuple[object, ...], kwargs: Mapping[str, object]) -> str | None:
    first = args[0] if args else kwargs.get("from_status")
    if callable(first) and not isinstance(first, enum.Enum):
        return "with a function instead of a status"
    if not args and "from_status" not in kwargs:
        return "without the status whose runs the step takes"
    if len(args) > 1:
        return "with several statuses, but without 'to='"
    if "to" not in kwargs:
        return "without 'to', the statuses that the step may return"
    return None

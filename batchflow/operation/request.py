"""The base of all requests: a name, the type of the result, and a JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from batchflow.errors import InvalidOptionError
from batchflow.operation.json_form import from_json, to_json

ResultT = TypeVar("ResultT")

_REQUESTS: dict[str, type[Request[Any]]] = {}


@dataclass(frozen=True, kw_only=True)
class Request(Generic[ResultT]):
    """An operation with its options, which are checked when it is made.

    Attributes:
        name: The operation's name, in Python, in messages and on the socket.
        result_type: The type of its result.

    Raises:
        InvalidOptionError: An option has a value that isn't allowed.
    """

    name: ClassVar[str]
    result_type: ClassVar[Any]

    def __init_subclass__(cls, *, name: str = "", result: Any = None) -> None:
        """Register an operation by its name."""
        if name:
            cls.name, cls.result_type = name, result
            _REQUESTS[name] = cls

    def to_json(self) -> dict[str, Any]:
        """Return the options by name, but for those that travel apart as rows."""
        options: dict[str, Any] = to_json(self)
        return options


def request_types() -> Mapping[str, type[Request[Any]]]:
    """Return the type of each request by the operation's name."""
    return _REQUESTS


def request_from_json(name: str, options: Mapping[str, Any], **apart: Any) -> Request[Any]:
    """Return the request of an operation from the JSON form of its options.

    Args:
        name: The operation's name.
        options: What `Request.to_json` returned.
        apart: The options that traveled apart.

    Raises:
        InvalidOptionError: There is no such operation, or an option isn't one of its options.
    """
    request = _REQUESTS.get(name)
    if request is None:
        raise InvalidOptionError(
            f"There is no operation {name!r}; the operations are: {', '.join(sorted(_REQUESTS))}."
        )
    try:
        made: Request[Any] = from_json(request, options, **apart)
    except TypeError as error:
        raise InvalidOptionError(f"An option of {name!r} has a wrong type: {error}") from error
    return made

"""The statuses of a workflow, and their codes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

from batchflow.closest_name import did_you_mean
from batchflow.definition.redefined import RUN_AGAIN, is_redefined
from batchflow.errors import DefinitionError

StatusT = TypeVar("StatusT", bound=enum.Enum)

MAX_STATUSES: Final = 256
"""A code is one byte wherever runs are stored or moved."""


class StatusSet(Generic[StatusT]):
    """The members of the user's enum and their codes, in the order of definition.

    Attributes:
        type: The enum.
        members: The members without aliases. The code of a member is its position.
        names: The names of the members, in the same order.

    Raises:
        DefinitionError: It is no enum, or has no members, too many, or one that can't be stored.
    """

    def __init__(self, status_type: type[StatusT]) -> None:
        _require_usable(status_type)
        self.type = status_type
        self.members: tuple[StatusT, ...] = tuple(status_type)
        self.names: tuple[str, ...] = tuple(member.name for member in self.members)
        self._codes = {name: code for code, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[StatusT]:
        return iter(self.members)

    def has(self, value: object) -> bool:
        """Return whether `value` is a member of this enum, and not of one with equal values."""
        return isinstance(value, self.type)

    def has_name(self, name: str) -> bool:
        """Return whether a member has this name; aliases don't count."""
        return name in self._codes

    def code_of(self, status: StatusT | str) -> int:
        """Return the code of a member, or of the member with that name.

        Raises:
            DefinitionError: It is neither.
        """
        # A member may be a string too, whose value may differ from its name.
        name = status.name if isinstance(status, self.type) else status
        code = self._codes.get(name) if isinstance(name, str) else None
        if code is None:
            again = (
                f" {self.type.__name__} was defined again: {RUN_AGAIN}."
                if is_redefined(type(status), self.type)
                else ""
            )
            close = did_you_mean(name, self.names) if isinstance(name, str) else ""
            raise DefinitionError(
                f"{described(status)} is not a status of {self.type.__name__}.{close} "
                f"The statuses are {', '.join(self.names)}.{again}"
            )
        return code


def described(status: Any) -> str:
    """Return a value that was given as a status, as messages show it."""
    # The str() of a member that is also a text is its value.
    is_member = isinstance(status, enum.Enum)
    return f"{type(status).__name__}.{status.name}" if is_member else repr(status)


def _require_usable(status_type: Any) -> None:
    if not isinstance(status_type, type) or not issubclass(status_type, enum.Enum):
        shown = getattr(status_type, "__name__", type(status_type).__name__)
        raise DefinitionError(
            f"The status type is {shown}, which is not an Enum. Give a subclass of enum.Enum."
        )
    if not 1 <= len(status_type) <= MAX_STATUSES:
        raise DefinitionError(
            f"The status type {status_type.__name__} has {len(status_type)} members. "
            f"Give it 1 to {MAX_STATUSES} members."
        )
    unusable = [name for name in status_type.__members__ if not _can_be_stored(name)]
    if unusable:
        raise DefinitionError(
            f"The status type {status_type.__name__} has a member named {unusable[0]!r}, which "
            "can't be stored. Rename it without lone surrogates and NUL characters."
        )


def _can_be_stored(name: str) -> bool:
    return "\0" not in name and name == name.encode("utf-8", "replace").decode("utf-8")

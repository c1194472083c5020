"""The statuses of a workflow, and their codes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

from batchflow.errors import DefinitionError

StatusT = TypeVar("StatusT", bound=enum.Enum)

MOST_STATUSES: Final = 256
"""A code is one byte wherever runs are kept or moved."""


class StatusSet(Generic[StatusT]):
    """Number the members of the user's enum, in the order of their definition.

    Attributes:
        type: the enum.
        members: its members, aliases left out; a member's code is its place in here.
        names: their names, in the same order.

    Raises:
        DefinitionError: it is no enum, has no members, or has too many.
    """

    def __init__(self, status_type: type[StatusT]) -> None:
        _refuse_unusable(status_type)
        self.type = status_type
        self.members: tuple[StatusT, ...] = tuple(status_type)
        self.names: tuple[str, ...] = tuple(member.name for member in self.members)
        self._codes = {name: code for code, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[StatusT]:
        return iter(self.members)

    def has(self, value: object) -> bool:
        """Tell whether it is a member of the enum itself, not of another with equal values."""
        return isinstance(value, self.type)

    def has_name(self, name: str) -> bool:
        """Tell whether a member has this name, aliases left out."""
        return name in self._codes

    def code_of(self, status: StatusT | str) -> int:
        """Return the code of a member, or of the member with that name.

        Raises:
            DefinitionError: it is neither.
        """
        # A member may be a string too, and its value then need not be its name.
        name = status.name if isinstance(status, self.type) else status
        code = self._codes.get(name) if isinstance(name, str) else None
        if code is None:
            raise DefinitionError(
                f"{described(status)} is no status of {self.type.__name__}; "
                f"there are {', '.join(self.names)}"
            )
        return code


def described(status: Any) -> str:
    """Return what somebody gave for a status, as it stands in a message."""
    # Members that are texts as well answer str() with their values.
    is_member = isinstance(status, enum.Enum)
    return f"{type(status).__name__}.{status.name}" if is_member else repr(status)


def _refuse_unusable(status_type: Any) -> None:
    if not isinstance(status_type, type) or not issubclass(status_type, enum.Enum):
        shown = getattr(status_type, "__name__", type(status_type).__name__)
        raise DefinitionError(
            f"the status type is {shown}, which is no enum.Enum; give the class of an Enum"
        )
    if not 1 <= len(status_type) <= MOST_STATUSES:
        raise DefinitionError(
            f"the status type {status_type.__name__} has {len(status_type)} members; "
            f"give it 1 to {MOST_STATUSES}"
        )
    unusable = [name for name in status_type.__members__ if not _can_be_stored(name)]
    if unusable:
        raise DefinitionError(
            f"the status type {status_type.__name__} has a member named {unusable[0]!r}, which "
            "can't be stored; rename it without half surrogate pairs and NULs"
        )


def _can_be_stored(name: str) -> bool:
    return "\0" not in name and name == name.encode("utf-8", "replace").decode("utf-8")

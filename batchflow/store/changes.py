"""Changes of a store by operations, as its listeners receive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RunsAdded:
    """Runs were started.

    Attributes:
        workflow: Their workflow's name.
        code: The code of the status where they begin.
        first_seq: The number of the first run; the others follow without a gap.
        last_seq: The number of the last run.
    """

    workflow: str
    code: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True)
class RunsChanged:
    """Runs of a workflow were paused, resumed, cancelled or edited."""

    workflow: str


@dataclass(frozen=True)
class RunsPutBack:
    """Runs of a workflow were retried.

    Attributes:
        workflow: Its name.
        completed: The ``status`` (uint8, its code) and ``updated_at`` of those that were completed.
    """

    workflow: str
    completed: pa.Table


@dataclass(frozen=True)
class RunsRemoved:
    """Finished runs of a workflow were removed."""

    workflow: str


StoreChange: TypeAlias = RunsAdded | RunsChanged | RunsPutBack | RunsRemoved

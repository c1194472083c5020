"""How far one drain is to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Drain:
    """When a drain ends.

    Attributes:
        wait_for_retries: also wait for the runs that back off.
        limit: execute steps for about this many runs, then stop; ``None`` for no limit.
        until: stop at this moment (aware); ``None`` for no such moment.
        forever: wait for new runs where others would end; only a stop ends it.
    """

    wait_for_retries: bool = False
    limit: int | None = None
    until: datetime | None = None
    forever: bool = False

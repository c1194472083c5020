"""The conditions under which a drain ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class DrainOptions:
    """The conditions under which a drain ends.

    Attributes:
        wait_for_retries: Whether to wait for runs that are due again later.
        limit: Stop after steps were executed for about this many runs; None for no limit.
        until: Stop at this time (aware); None for no such time.
        rerun_share: The largest share of the workers that runs which were put back take from others
            that wait; None for no limit.
        forever: Whether to wait for new runs instead of ending; only a stop ends the drain.
    """

    wait_for_retries: bool = False
    limit: int | None = None
    until: datetime | None = None
    rerun_share: float | None = None
    forever: bool = False

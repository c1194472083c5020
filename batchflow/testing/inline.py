"""An engine without processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.testing.fake_clock import FakeClock

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.engine import Engine


def inline_engine(
    *workflows: AnyWorkflow,
    path: str = ":memory:",
    clock: FakeClock | None = None,
    seed: int = 0,
) -> Engine:
    """Open an engine without processes, by default in memory, whose clock stands still.

    ``run(wait_for_retries=True)`` completes hours of backoff at once.
    """
    # A worker imports the module of its steps, which may be that of their tests, and needs neither
    # an engine nor DuckDB.
    from batchflow.engine import Engine, EngineConfig

    return Engine(
        path,
        *workflows,
        workers=0,
        clock=clock or FakeClock(),
        config=EngineConfig(seed=seed),
    )

"""The number of runs in a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchflow.definition import Step

# Long enough that sending a chunk costs little, short enough that commits are frequent.
_TARGET_SECONDS = 0.25
# The chunk of a worker that dies is executed again, so chunks are short after that.
_LEAST_TARGET_SECONDS = 0.01
_SHRINKS_BY = 8.0
_GROWS_BY = 1.1
_FIRST_ROWS = 1_000
_MOST_ROWS = 65_536
_MOST_GROWTH = 16.0
# Among so many runs, one that ends workers is found with two more ends of a worker.
_CALL_ROWS = 512


class ChunkSizer:
    """Finds each step's chunk size from how long its last chunks took.

    A step's own ``chunk_rows`` is respected. The outcome of a run never depends on the size.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], float] = {}
        self._targets: dict[tuple[str, int], float] = {}

    def rows(self, workflow: str, step: Step) -> int:
        """Return the number of runs for the next chunk of a step."""
        if step.options.chunk_rows is not None:
            return step.options.chunk_rows
        return int(self._rows.get((workflow, step.from_code), _FIRST_ROWS))

    def call_rows(self, workflow: str, step: Step) -> int | None:
        """Return the most runs of one call of a batch step; None for a whole chunk.

        If workers die one after the other, shorter calls narrow down faster which runs end them.
        """
        target = self._targets.get((workflow, step.from_code), _TARGET_SECONDS)
        shorten = not step.kind.calls_each_run and target < _TARGET_SECONDS / _SHRINKS_BY
        return _CALL_ROWS if shorten else None

    def observe(self, workflow: str, step: Step, rows: int, seconds: float) -> None:
        """Learn from a chunk of which ``rows`` were executed in ``seconds``."""
        if rows == 0:
            return
        key = workflow, step.from_code
        known = self._rows.get(key, float(_FIRST_ROWS))
        target = min(_TARGET_SECONDS, self._targets.get(key, _TARGET_SECONDS) * _GROWS_BY)
        fitting = rows * target / max(seconds, 1e-6)
        bounded = min(fitting, known * _MOST_GROWTH, float(_MOST_ROWS))
        self._rows[key] = max(1.0, bounded)
        self._targets[key] = target

    def lost(self, workflow: str, step: Step) -> None:
        """Make a step's chunks shorter for a while, because one of them ended a worker."""
        key = workflow, step.from_code
        target = self._targets.get(key, _TARGET_SECONDS)
        shorter = max(_LEAST_TARGET_SECONDS, target / _SHRINKS_BY)
        known = self._rows.get(key, float(_FIRST_ROWS))
        self._rows[key] = max(1.0, known * shorter / target)
        self._targets[key] = shorter

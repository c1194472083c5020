"""The ends of workers that no call is blamed for: how many there were, and what follows.

A blamed end is bounded, because its run fails in the end. The others are counted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.errors import EngineStateError

if TYPE_CHECKING:
    from batchflow.executor.worker_process import WorkerEnd

_MOST_WITHOUT_RESULT = 10
# So many results are awaited one by one after the fork server ended.
_CAREFUL_RESULTS = 20


class Ends:
    """Counts the ends of a pool's workers.

    Attributes:
        failed_starts: The number of workers that ended before they were ready, in a row.
        one_suspect_at_a_time: Whether suspect chunks have no other chunk beside them, because the
            fork server has ended before. All workers end with it, so a call that ends it is found
            only if it is the only one under way.
    """

    def __init__(self) -> None:
        self.failed_starts = 0
        self.one_suspect_at_a_time = False
        self._careful_results = 0
        self._without_result = 0
        self._cause = ""
        self._counted_fork_server = 0

    @property
    def one_chunk_at_a_time(self) -> bool:
        """Whether no chunk has another one beside it, because the fork server ended lately."""
        return self._careful_results > 0

    def started(self) -> None:
        """Record that a worker has loaded the workflows, or could have."""
        self.failed_starts = 0

    def result(self) -> None:
        """Record a result: the workers get somewhere."""
        self._without_result = 0
        self._careful_results = max(0, self._careful_results - 1)

    def ended(self, end: WorkerEnd, *, ready: bool) -> None:
        """Record the end of a worker, which was ready for chunks or still starting."""
        if end.with_fork_server:
            self.one_suspect_at_a_time = True
            self._careful_results = _CAREFUL_RESULTS
        elif not ready:
            self.failed_starts += 1
        if not end.blames and (end.lost or not ready) and not self._is_counted(end):
            self._without_result += 1
            self._cause = end.cause

    def _is_counted(self, end: WorkerEnd) -> bool:
        """Return whether the end of the fork server, with which all workers end, is counted."""
        if end.fork_server_start is None:
            return False
        counted = end.fork_server_start <= self._counted_fork_server
        self._counted_fork_server = max(self._counted_fork_server, end.fork_server_start)
        return counted

    def require_few(self) -> None:
        """Raise an error if workers keep ending, and no call of a step is to blame.

        Raises:
            EngineStateError: Too many ended since the last result.
        """
        if self._without_result < _MOST_WITHOUT_RESULT:
            return
        ends, self._without_result = self._without_result, 0
        raise EngineStateError(
            f"Workers ended {ends} times, one after the other, and none of them while it called a "
            f"step; the last one: {self._cause}. Look for what ends them: a resource as it is "
            "opened, a limit on processes or memory, or another program; then run again. Nothing "
            "was lost."
        )

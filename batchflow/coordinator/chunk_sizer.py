"""The number of runs in a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batchflow.coordinator.step_cost import StepCost

if TYPE_CHECKING:
    from batchflow.definition import Step

# Long enough that sending a chunk costs little, short enough that commits are frequent.
TARGET_SECONDS: Final = 0.25
# The chunk of a worker that dies is executed again, so chunks are short after that.
_LEAST_TARGET_SECONDS: Final = 0.03
_SHRINKS_BY: Final = 8.0
_GROWS_BY: Final = 1.1
# A chunk costs the coordinator about 2 ms, so chunks last longer if workers take more of them.
_MOST_CHUNKS_PER_SECOND: Final = 200.0
_FIRST_ROWS: Final = 1_000
_MOST_ROWS: Final = 65_536
_MOST_GROWTH: Final = 16.0
# Twice as large a chunk shows whether its time is fixed or grows with its runs.
_TRIAL_GROWTH: Final = 2.0
# The fixed time of a chunk may take this part of it: a fifth.
_FIXED_TIMES: Final = 5.0
# At the end of a chunk, lanes are idle until the slowest call returns. More rounds make that a
# smaller part; but results of long calls shouldn't be late, and lost if their worker dies.
_ROUNDS: Final = 8.0
_ROUNDS_SECONDS: Final = 10.0
_LEAST_ROUNDS: Final = 5.0
# A row step returns what it has after this time, so that commits continue.
_SLICE_SECONDS: Final = 2.0
# Calls that take somewhat longer than expected still end within the slice.
_SLICE_TIMES: Final = 1.5
# A chunk that takes longer isn't given to a worker in advance, because another may be idle sooner.
_LONG_SECONDS: Final = 1.0
# Calls for so many runs cost little more than one for all of them, and only these runs are suspects
# when a worker dies.
_CALL_ROWS: Final = 512
_MOST_SECONDS_OF_CALLS: Final = 1.0


@dataclass
class _Pace:
    """The size and the cost of one step's chunks.

    Attributes:
        rows: The runs of its next chunk.
        cost: The time of its chunks.
        target: The intended seconds of a chunk that costs little by itself.
        loses_often: Whether another chunk was lost before the target had recovered.
    """

    rows: float
    cost: StepCost
    target: float = TARGET_SECONDS
    loses_often: bool = False

    @property
    def seconds(self) -> float | None:
        """The expected seconds of the next chunk; None if that isn't known."""
        per_round = self.cost.seconds_per_round
        return None if per_round is None else per_round * max(1.0, self.rows / self.cost.lanes)


class ChunkSizer:
    """Finds each step's chunk size from the rate at which its last chunks were executed.

    A step's own ``chunk_rows`` is respected. The outcome of a run never depends on the size.
    """

    def __init__(self) -> None:
        self._paces: dict[tuple[str, int], _Pace] = {}
        self._longer = 1.0

    def adapt_to(self, workers: int) -> None:
        """Make chunks longer for more than fifty workers, so that they aren't too many."""
        self._longer = max(1.0, workers / (TARGET_SECONDS * _MOST_CHUNKS_PER_SECOND))

    @property
    def target_seconds(self) -> float:
        """The intended seconds of a chunk that costs little by itself."""
        return TARGET_SECONDS * self._longer

    def rows(self, workflow: str, step: Step) -> int:
        """Return the number of runs for the next chunk of a step."""
        if step.options.chunk_rows is not None:
            return step.options.chunk_rows
        return int(self._pace(workflow, step).rows)

    def call_rows(self, workflow: str, step: Step) -> int | None:
        """Return the most runs of one call of a batch step; None for a whole chunk.

        If workers die one after the other, shorter calls narrow down faster which runs end them,
        unless the calls take long whatever they hold.
        """
        pace = self._pace(workflow, step)
        if step.kind.calls_each_run or not pace.loses_often:
            return None
        calls = pace.rows / _CALL_ROWS
        return _CALL_ROWS if calls * pace.cost.most_fixed <= _MOST_SECONDS_OF_CALLS else None

    def slice_seconds(self, workflow: str, step: Step) -> float | None:
        """Return the time after which a chunk returns the runs it hasn't begun; None: no limit."""
        if not step.kind.calls_each_run:
            return None
        seconds = self._pace(workflow, step).seconds
        if lanes(step) == 1 or seconds is None:
            return _SLICE_SECONDS * self._longer
        return max(_SLICE_SECONDS * self._longer, _SLICE_TIMES * seconds)

    def is_long(self, workflow: str, step: Step) -> bool:
        """Return whether a chunk may take so long that no other should wait behind it."""
        seconds = self._pace(workflow, step).seconds
        return lanes(step) > 1 if seconds is None else seconds > _LONG_SECONDS * self._longer

    def observe(self, workflow: str, step: Step, rows: int, seconds: float) -> None:
        """Learn from a chunk of which ``rows`` were executed in ``seconds``."""
        if rows == 0:
            return
        pace = self._pace(workflow, step)
        pace.cost.observe(rows, seconds)
        pace.target = min(TARGET_SECONDS, pace.target * _GROWS_BY)
        pace.loses_often &= pace.target < TARGET_SECONDS
        fitting = _fitting_rounds(pace, self._longer) * pace.cost.lanes
        pace.rows = max(1.0, min(fitting, pace.rows * _MOST_GROWTH, float(_MOST_ROWS)))
        if pace.cost.lanes > 1:
            pace.rows = max(pace.rows, float(pace.cost.lanes))

    def lost(self, workflow: str, step: Step) -> None:
        """Make a step's chunks shorter for a while, because one of them ended a worker."""
        pace = self._pace(workflow, step)
        shorter = max(_LEAST_TARGET_SECONDS, pace.target / _SHRINKS_BY)
        least = min(pace.rows, float(pace.cost.lanes))
        pace.rows = max(least, pace.rows * shorter / pace.target)
        pace.loses_often = pace.target < TARGET_SECONDS
        pace.target = shorter

    def _pace(self, workflow: str, step: Step) -> _Pace:
        key = workflow, step.from_code
        if key not in self._paces:
            at_once = lanes(step)
            first = max(float(_FIRST_ROWS), _ROUNDS * at_once if at_once > 1 else 0.0)
            self._paces[key] = _Pace(first, StepCost(at_once))
        return self._paces[key]


def lanes(step: Step) -> int:
    """Return how many runs of a step one worker executes at once; a batch is one call."""
    if not step.kind.calls_each_run:
        return 1
    return step.options.concurrency if step.is_async else step.options.threads


def _fitting_rounds(pace: _Pace, longer: float) -> float:
    """Return the rounds of a chunk that takes so many times the usual time."""
    fixed, per_round = pace.cost.fit
    least = 1.0
    if pace.cost.lanes > 1:
        least = min(_ROUNDS, max(_LEAST_ROUNDS, _ROUNDS_SECONDS / per_round))
    wanted = max(TARGET_SECONDS * longer, _FIXED_TIMES * fixed, fixed + least * per_round)
    wanted *= pace.target / TARGET_SECONDS
    mean = pace.cost.seconds_per_round or per_round
    fitting = (wanted - fixed) / per_round
    if not pace.cost.is_spread:
        # While all chunks are nearly alike, a larger one has to show first whether the fit holds.
        fitting = min(
            fitting, max(pace.target * longer / mean, least, _TRIAL_GROWTH * pace.cost.last_rounds)
        )
    return max(fitting, pace.cost.last_rounds / _SHRINKS_BY)

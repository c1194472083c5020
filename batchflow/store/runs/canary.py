"""A sample of the runs that wait for a step, of each status, which goes first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from batchflow.store.database.instance import Cursor
from batchflow.store.runs.claimable import IS_RUNNABLE
from batchflow.store.schema.layout import Layout

# A sample of fewer runs of a status would rarely show what fails.
LEAST_OF_STATUS: Final = 20
_HASHES: Final = 2**64


@dataclass(frozen=True)
class CanaryRuns:
    """The sample of one workflow.

    Attributes:
        scope: The condition on ``seq`` that chooses it.
        runs: How many runs that wait for a step are in it.
    """

    scope: str
    runs: int


def sample_runs(cursor: Cursor, layout: Layout, share: float) -> CanaryRuns:
    """Choose a share of the runs at each status, and at least `LEAST_OF_STATUS` of them."""
    statuses = ", ".join(layout.status(code) for code in sorted(layout.workflow.steps))
    scope = f"hash(seq) <= {min(_HASHES - 1, int(_HASHES * share))}::UBIGINT"
    ready = f"FROM {layout.runs} WHERE status IN ({statuses}) AND {IS_RUNNABLE}"
    rows = cursor.execute(
        f"SELECT count(*), count(*) FILTER ({scope}), "
        f"min_by(seq, hash(seq), {LEAST_OF_STATUS}) {ready} GROUP BY status"
    ).fetchall()
    few = [seq for _, sampled, seqs in rows if sampled < LEAST_OF_STATUS for seq in seqs]
    if few:
        scope = f"({scope} OR seq IN ({', '.join(map(str, few))}))"
    runs = sum(max(sampled, min(every, LEAST_OF_STATUS)) for every, sampled, _ in rows)
    return CanaryRuns(scope, runs)


def count_failed(cursor: Cursor, layout: Layout, sample: CanaryRuns, since: datetime) -> int:
    """Return how many runs of a sample failed since a time."""
    [(failed,)] = cursor.execute(
        f"SELECT count(DISTINCT seq) FROM {layout.errors} "
        f"WHERE committed_at >= $since AND {sample.scope}",
        {"since": since},
    ).fetchall()
    return int(failed)

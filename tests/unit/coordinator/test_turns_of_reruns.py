"""Whose turn it is, and which runs are re-runs."""

from __future__ import annotations

import numpy as np

from batchflow.coordinator.rerun_share import RerunShare
from batchflow.coordinator.reruns import Reruns


def turns(share: RerunShare, seconds: dict[bool, float], chunks: int) -> list[bool]:
    """Return whose turn it was for so many chunks, one at a time."""
    taken = []
    for _ in range(chunks):
        turn = share.gives_reruns_a_turn(in_flight=0, workers=1)
        share.record(seconds[turn], reruns=turn)
        taken.append(turn)
    return taken


def test_reruns_have_their_share_of_the_time_however_slow_they_are() -> None:
    assert turns(RerunShare(0.25), {True: 1, False: 1}, 8) == [True, False, False, False] * 2
    slow = turns(RerunShare(0.5), {True: 5, False: 1}, 60)
    assert sum(slow) == 10
    assert sum(turns(RerunShare(0.2), {True: 0, False: 0}, 100)) == 20
    assert all(turns(RerunShare(1), {True: 1, False: 1}, 10))


def test_few_chunks_of_reruns_are_in_flight_and_one_at_least() -> None:
    share = RerunShare(0.25)
    assert share.gives_reruns_a_turn(in_flight=1, workers=8)
    assert not share.gives_reruns_a_turn(in_flight=2, workers=8)
    assert not share.gives_reruns_a_turn(in_flight=1, workers=2)


def test_nothing_is_owed_for_the_time_without_others() -> None:
    share = RerunShare(0.25)
    share.record(1000, reruns=True)
    assert not share.gives_reruns_a_turn(in_flight=0, workers=1)
    share.restart()
    assert share.gives_reruns_a_turn(in_flight=0, workers=1)


def test_a_run_that_is_claimed_stays_what_it_is() -> None:
    reruns, seqs = Reruns(), np.array([5, 1, 9])
    assert not reruns.contain(seqs).any()
    reruns.replace(np.array([9, 1]), claimed=np.array([1]))
    assert reruns.contain(seqs).tolist() == [False, False, True]
    # It is put back while it is executed as a re-run: first it is paused, then retried.
    reruns.replace(np.array([1]), claimed=np.array([9]))
    reruns.replace(np.array([1, 9]), claimed=np.array([9]))
    assert reruns.contain(seqs).tolist() == [False, True, True]
    reruns.replace(np.array([1]), claimed=np.array([], np.int64))
    assert reruns.contain(seqs).tolist() == [False, True, False]

"""A deferral holds for one version of a run."""

from __future__ import annotations

import numpy as np

from batchflow.coordinator.deferral import Deferral

SEQS = np.array([3, 16_384, 40_000], np.int64)
VERSIONS = np.array([1, 4, 9], np.int32)


def test_a_deferred_run_is_contained_only_at_its_version() -> None:
    deferral = Deferral()
    deferral.add(SEQS, VERSIONS)

    assert deferral.contains(SEQS, VERSIONS).tolist() == [True, True, True]
    assert deferral.contains(SEQS, VERSIONS + 1).tolist() == [False, False, False]


def test_other_runs_are_not_contained() -> None:
    deferral = Deferral()
    deferral.add(SEQS, VERSIONS)

    assert not deferral.contains(SEQS + 1, VERSIONS).any()
    assert not deferral.contains(SEQS + 1_000_000, VERSIONS).any()


def test_clear_removes_all_runs() -> None:
    deferral = Deferral()
    deferral.add(SEQS, VERSIONS)
    deferral.clear()

    assert not deferral
    assert not deferral.contains(SEQS, VERSIONS).any()


def test_a_later_deferral_replaces_the_earlier() -> None:
    deferral = Deferral()
    deferral.add(SEQS, VERSIONS)
    deferral.add(SEQS[:1], VERSIONS[:1] + 1)

    assert not deferral.contains(SEQS[:1], VERSIONS[:1]).any()
    assert deferral.contains(SEQS[:1], VERSIONS[:1] + 1).all()

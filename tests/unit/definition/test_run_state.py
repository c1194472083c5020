from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from batchflow.definition import ALLOWED, Outcome, RunState, sources_of
from batchflow.executor import Capability
from batchflow.view import Batch, Run


def test_the_table_of_allowed_changes() -> None:
    moves = {
        source.name: {to.name for to in RunState if ALLOWED[source, to]} for source in RunState
    }

    assert moves == {
        "INITIATED": {"RUNNING", "COMPLETED", "PAUSED", "CANCELLED"},
        "RUNNING": {"COMPLETED", "PAUSED", "CANCELLED"},
        "PAUSED": {"RUNNING", "CANCELLED"},
        "CANCELLED": {"RUNNING", "REQUESTED_DATA_DELETED"},
        "COMPLETED": {"RUNNING", "REQUESTED_DATA_DELETED"},
        "REQUESTED_DATA_DELETED": {"DATA_DELETED"},
        "DATA_DELETED": {"REQUESTED_DATA_DELETED"},
    }


def test_a_whole_chunk_is_checked_by_one_look_up() -> None:
    sources = np.array([RunState.RUNNING, RunState.COMPLETED, RunState.PAUSED])

    assert ALLOWED[sources, RunState.CANCELLED].tolist() == [True, False, True]


def test_the_table_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ALLOWED[0, 0] = True


def test_sources_are_read_from_the_table() -> None:
    assert sources_of(RunState.CANCELLED) == (
        RunState.INITIATED,
        RunState.RUNNING,
        RunState.PAUSED,
    )
    assert sources_of(RunState.INITIATED) == ()


@pytest.mark.parametrize("state", RunState)
def test_a_run_whose_object_is_erased_never_becomes_runnable_again(state: RunState) -> None:
    targets = {to for to in RunState if state.may_become(to)}
    erased = state in (RunState.REQUESTED_DATA_DELETED, RunState.DATA_DELETED)

    assert not (erased and any(to.runnable for to in targets))
    assert not (state.finished and state.runnable)


def test_the_predicates_of_each_run_state() -> None:
    assert {state.name for state in RunState if state.runnable} == {"INITIATED", "RUNNING"}
    assert {state.name for state in RunState if state.finished} == {
        "CANCELLED",
        "COMPLETED",
        "REQUESTED_DATA_DELETED",
        "DATA_DELETED",
    }
    assert {state.name for state in RunState if state.stopped} == {
        "PAUSED",
        "CANCELLED",
        "REQUESTED_DATA_DELETED",
        "DATA_DELETED",
    }


def test_runs_and_batches_have_the_method_of_each_outcome_that_a_step_chooses() -> None:
    methods = {outcome.method for outcome in Outcome if outcome.method is not None}

    assert methods == {"skip", "repeat", "pause", "cancel"}
    assert all(hasattr(Run, method) and hasattr(Batch, method) for method in methods)


def test_only_advancing_and_repeating_keep_what_the_step_changed() -> None:
    assert [outcome.name for outcome in Outcome if outcome.keeps_changes] == [
        "ADVANCED",
        "REPEATED",
    ]


@pytest.mark.parametrize("shown", [str, format, "{}".format, "{:}".format])
@pytest.mark.parametrize(
    "member", [RunState.PAUSED, Outcome.ADVANCED, Capability.NAMES_CALLS], ids=repr
)
def test_members_of_public_enums_are_shown_by_their_names(shown: Any, member: Any) -> None:
    assert shown(member) == member.name
    assert f"{member:>14}" == member.name.rjust(14)

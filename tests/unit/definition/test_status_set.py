"""The statuses of a workflow by their names."""

from __future__ import annotations

import enum

import pytest

from batchflow.definition.status_set import StatusSet
from batchflow.errors import DefinitionError


class Stage(enum.Enum):
    CHARGED = enum.auto()
    DONE = enum.auto()


def test_a_misspelled_status_is_answered_with_the_closest_one() -> None:
    with pytest.raises(DefinitionError, match=r"'CHARGD' is not .*\. Did you mean 'CHARGED'\?"):
        StatusSet(Stage).code_of("CHARGD")


def test_a_status_that_is_close_to_none_is_answered_with_all() -> None:
    with pytest.raises(DefinitionError, match=r"'x' is not a status of Stage\. The statuses are"):
        StatusSet(Stage).code_of("x")

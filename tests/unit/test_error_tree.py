from __future__ import annotations

import copy
import inspect
import pickle
from uuid import UUID

import pytest

from batchflow import errors

TREE = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, errors.BatchflowError)
]

WITH_DATA = [
    errors.DefinitionError("Two are wrong:", problems=["a", "b"]),
    errors.StoreHeldError("held", path="x.duckdb", holder={"pid": 7, "host": "here"}),
    errors.MigrationError("differs:", differences=["field x is gone"]),
    errors.InvalidRowsError("wrong", column="total", count=3, sample=["a", "b"]),
    errors.ConflictError("twice", count=2, foreign_ids=["o-1"]),
    errors.RunUnreachableError(
        "gone", run_id=UUID(int=5), status="PAID", run_state="PAUSED", reason="fraud"
    ),
    errors.ResourceError("no database", name="db"),
]


@pytest.mark.parametrize("error_type", TREE)
def test_an_error_without_a_message_says_its_remedy(
    error_type: type[errors.BatchflowError],
) -> None:
    message = str(error_type())

    assert message.endswith(".")
    assert "\n" not in message
    assert "Attributes" not in message


@pytest.mark.parametrize("error_type", TREE)
def test_the_module_draws_every_error(error_type: type[errors.BatchflowError]) -> None:
    assert error_type.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", WITH_DATA, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_crosses_processes_with_its_data(error: errors.BatchflowError, copied) -> None:
    other = copied(error)

    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_an_error_with_parameters_of_its_own_crosses_processes() -> None:
    other = pickle.loads(pickle.dumps(TwoPartError("left", "right")))

    assert (other.left, other.right, str(other)) == ("left", "right", "left and right")


class TwoPartError(errors.BatchflowError):
    """Two parts."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left} and {right}")
        self.left = left
        self.right = right


def test_a_definition_error_shows_each_problem_on_a_line() -> None:
    error = errors.DefinitionError("Workflow 'x' has 2 problems:", problems=["a", "b"])

    assert str(error) == "Workflow 'x' has 2 problems:\na\nb"
    assert error.problems == ("a", "b")


def test_a_definition_error_of_one_sentence_has_that_as_its_problem() -> None:
    assert errors.DefinitionError("The name is empty.").problems == ("The name is empty.",)


def test_a_missing_run_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no such run"):
        raise errors.RunNotFoundError

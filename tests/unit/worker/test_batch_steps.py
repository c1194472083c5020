from __future__ import annotations

import dataclasses
import enum
import functools
import types
import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from step_harness import NOW, RUN_ID_BASE, Execute, Item, Status, items, make_chunk

from batchflow.definition import Outcome, Workflow
from batchflow.worker.control import NullControl
from batchflow.worker.execution import Execution
from kit.effort import examples

DONE, BAD = Status.DONE, Status.BAD
WHICH = np.array([True, False, True])


@pytest.mark.parametrize(
    ("answer", "to"),
    [
        (DONE, ["DONE"] * 3),
        ("BAD", ["BAD"] * 3),
        ([DONE, BAD, DONE], ["DONE", "BAD", "DONE"]),
        (np.where(WHICH, DONE, BAD), ["DONE", "BAD", "DONE"]),
        (np.where(WHICH, DONE, None), ["DONE", None, "DONE"]),
        (np.where(WHICH, "DONE", "BAD"), ["DONE", "BAD", "DONE"]),
        (
            np.ma.MaskedArray(np.array([DONE, BAD, BAD], object), [False, False, True]),
            ["DONE", "BAD", None],
        ),
        (pa.array(["DONE", None, "BAD"]), ["DONE", None, "BAD"]),
        (pa.array(["DONE", None, "BAD"]).dictionary_encode(), ["DONE", None, "BAD"]),
        (pa.chunked_array([["DONE"], ["BAD", "BAD"]]), ["DONE", "BAD", "BAD"]),
        (pa.nulls(3), [None, None, None]),
        (pd.Series(["DONE", None, "BAD"]), ["DONE", None, "BAD"]),
        (pd.Series([DONE, None, BAD]), ["DONE", None, "BAD"]),
        (pd.Series([DONE, pd.NA, pd.NaT], dtype=object), ["DONE", None, None]),
        (pd.Series([BAD, None, DONE], index=[2, 1, 0]), ["DONE", None, "BAD"]),
        (pd.Series([0, 1, 2]).map({0: DONE, 2: BAD}), ["DONE", None, "BAD"]),
        (np.array(DONE), ["DONE", "DONE", "DONE"]),
        (pa.scalar("BAD"), ["BAD", "BAD", "BAD"]),
        (pl.Series(["DONE", None, "BAD"]), ["DONE", None, "BAD"]),
        (pl.Series(["DONE", None, "BAD"], dtype=pl.Categorical), ["DONE", None, "BAD"]),
    ],
)
def test_the_answer_is_one_status_or_a_column_with_null_for_runs_that_stay(
    execute: Execute, answer: Any, to: list[str | None]
) -> None:
    done = execute(lambda batch: answer, items(3), batch=True)
    assert done.to == to
    assert done.outcomes == ["SKIPPED" if status is None else "ADVANCED" for status in to]
    assert not done.failures


class Number(enum.IntEnum):
    NEW = 10
    DONE = 20


class Text(enum.StrEnum):
    NEW = "n"
    DONE = "d"


Unhashable = enum.Enum("Unhashable", {"NEW": ["n"], "DONE": ["d"]})


class Alike(enum.Enum):
    NEW = 1
    DONE = 2
    ELSEWHERE = 3

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


@pytest.mark.parametrize("statuses", [Unhashable, Alike])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_members_are_distinguished_by_identity_alone(statuses: Any, one_by_one: bool) -> None:
    def step(batch: Any) -> Any:
        return [statuses.DONE, statuses.NEW] if one_by_one else statuses.DONE

    workflow = Workflow("things", Item, statuses)
    workflow.add_step(statuses.NEW, step, statuses.DONE, batch=True)
    execution = Execution({"things": workflow}, NullControl())
    result = execution.execute(make_chunk(items(2), Item))
    assert result.to_codes.tolist() == ([1, -1] if one_by_one else [1, 1])


@pytest.mark.parametrize("statuses", [Number, Text])
def test_members_that_numpy_turns_into_numbers_or_texts_are_recognised(
    statuses: Any,
) -> None:
    workflow = Workflow("things", Item, statuses)
    workflow.add_step(
        statuses.NEW, lambda batch: np.where([True], statuses.DONE, statuses.DONE), statuses.DONE,
        batch=True,
    )  # fmt: skip
    execution = Execution({"things": workflow}, NullControl())
    result = execution.execute(make_chunk(items(1), Item))
    assert result.to_codes.tolist() == [1]


@pytest.mark.parametrize(
    ("answer", "rows", "found"),
    [
        (None, [0, 1, 2], "None: it returned nothing"),
        (Status.ELSEWHERE, [0, 1, 2], "ELSEWHERE, which isn't declared"),
        ([DONE, Status.ELSEWHERE, DONE], [1], "ELSEWHERE, which isn't declared"),
        (np.array(["DONE", "secret", "ELSEWHERE"]), [1, 2], ""),
        (1, [0, 1, 2], "a value of type int; batch.codes(...) takes the codes of statuses"),
        (np.int8(1), [0, 1, 2], "batch.codes(...)"),
        (np.array([1, 1, 1]), [0, 1, 2], "batch.codes(...)"),
        (pa.array([1, 1, 1]), [0, 1, 2], "batch.codes(...)"),
        ([DONE, 1, DONE], [1], "batch.codes(...)"),
        (np.array([True, False, True]), [0, 1, 2], "bool"),
        (pa.array(["DONE", "secret", "BAD"]), [1], "a value of type"),
        ([DONE, 1.5, object()], [1, 2], "a value of type"),
        (object(), [0, 1, 2], "a value of type object"),
        ([].append, [0, 1, 2], "a value of type"),
        (pl.col("count"), [0, 1, 2], "a Polars Expr, which isn't evaluated"),
        (pd.DataFrame({"a": [DONE] * 3}), [0, 1, 2], "a DataFrame, which may have several columns"),
        ("done", [0, 1, 2], "the value of DONE; give the member itself"),
        ("over", [0, 1, 2], "a value of type str, which isn't the name of a status"),
        (types.MappingProxyType({"DONE": 1}), [0, 1, 2], "a value of type mappingproxy"),
        (frozenset(["DONE", "BAD", "NEW"]), [0, 1, 2], "a value of type frozenset"),
        (np.full((3, 1), DONE), [0, 1, 2], "an array of 2 dimensions"),
        (np.array([1.0, 1.5, 17]), [0, 1, 2], "a value of type float"),
    ],
)
def test_an_undeclared_answer_fails_only_its_runs(
    execute: Execute, answer: Any, rows: list[int], found: str
) -> None:
    def step(batch: Any) -> Any:
        alone = isinstance(answer, list | np.ndarray | pa.Array) and len(batch) == 1
        return answer[batch["count"][0] : batch["count"][0] + 1] if alone else answer

    done = execute(step, items(3), batch=True)
    assert [row for row, outcome in enumerate(done.outcomes) if outcome == "FAILED"] == rows
    for row in rows:
        kind, message = done.failures[row]
        assert kind == "InvalidOutcome"
        assert found in message
        assert "allowed are DONE, BAD" in message
        assert "secret" not in message


@pytest.mark.parametrize(
    ("values", "to"),
    [
        (np.array([1, 2, 1], np.uint8), ["DONE", "BAD", "DONE"]),
        (np.ma.MaskedArray([1, 2, 2], [False, False, True]), ["DONE", "BAD", None]),
        (pa.array([1, None, 2]), ["DONE", None, "BAD"]),
        (pd.Series([1, None, 2], dtype="Int64"), ["DONE", None, "BAD"]),
        (pd.Series([1, 2, 2], index=[2, 1, 0]), ["BAD", "BAD", "DONE"]),
        (pl.Series([1, None, 2]), ["DONE", None, "BAD"]),
        ([1, None, 2], ["DONE", None, "BAD"]),
    ],
)
def test_codes_are_answers_if_they_are_given_as_codes(
    execute: Execute, values: Any, to: list[str | None]
) -> None:
    done = execute(lambda batch: batch.codes(values), items(3), batch=True)
    assert done.to == to
    assert not done.failures


def test_codes_that_are_no_declared_status_fail_their_runs(execute: Execute) -> None:
    done = execute(lambda batch: batch.codes(batch["count"]), items(5), batch=True)
    assert done.to == [None, "DONE", "BAD", None, None]
    assert "NEW, which isn't declared" in done.failures[0][1]
    assert "ELSEWHERE, which isn't declared" in done.failures[3][1]
    assert "a code outside of 0 to 3, the codes of the statuses" in done.failures[4][1]


@pytest.mark.parametrize("values", [np.array([0.5, 1.0]), ["DONE", "BAD"], [True, False]])
def test_codes_that_are_not_ints_are_refused(execute: Execute, values: Any) -> None:
    done = execute(lambda batch: batch.codes(values[: len(batch)]), items(2), batch=True)
    assert done.failures[0] == (
        "TypeError",
        "The codes aren't ints. Give one int, or None, for each run.",
    )


def test_statuses_are_chosen_by_a_mask_that_is_aligned(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        frame = pd.DataFrame({"count": batch["count"]}).sort_values("count", ascending=False)
        return batch.where(frame["count"] > 1, DONE, None)

    assert execute(step, items(3), batch=True).to == [None, None, "DONE"]


@pytest.mark.parametrize("as_column", [list, np.array, pd.Series, pd.Categorical])
def test_the_branches_of_where_may_be_columns(execute: Execute, as_column: Any) -> None:
    def step(batch: Any) -> Any:
        inner = batch.where(batch["count"] == 1, BAD, None)
        return batch.where(batch["count"] == 0, DONE, as_column(inner))

    assert execute(step, items(3), batch=True).to == ["DONE", "BAD", None]


def test_the_branches_of_where_have_a_value_for_each_run(execute: Execute) -> None:
    done = execute(lambda batch: batch.where(True, [DONE, BAD], None), items(3), batch=True)
    assert {kind for kind, _ in done.failures.values()} == {"WrongLengthError"}
    assert "2 values for 3 runs" in done.failures[0][1]


def returns(answer: Any) -> Any:
    return lambda batch: answer


def assigns(values: Any) -> Any:
    def step(batch: Any) -> Any:
        batch["count"] = values(batch) if callable(values) else values
        return DONE

    return step


def skips(mask: Any) -> Any:
    return lambda batch: batch.skip(mask)


def wraps(step: Any) -> Any:
    def wrapped(batch: Any) -> Any:
        try:
            return step(batch)
        except ValueError:
            raise RuntimeError("mine") from None

    return wrapped


def pair(batch: Any) -> Any:
    return pd.DataFrame({"count": batch["count"]})


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (returns([DONE, BAD]), "2 values for 4 runs"),
        (returns(pl.Series(["DONE", "BAD"])), "2 values for 4 runs"),
        (returns(np.array([[DONE, BAD]] * 2)), "2 dimensions"),
        (returns(pd.Series([DONE] * 4, index=list("abcd"))), "another index than the batch's"),
        (lambda batch: batch.codes([1, 1]), "2 values for 4 runs"),
        (assigns([1, 2]), "2 values for 4 runs"),
        (assigns(pd.Series([1, 2])), "2 values for 4 runs"),
        (assigns(lambda batch: iter([1, 2])), "2 values for 4 runs"),
        (assigns(lambda batch: pair(batch).groupby("count")["count"].sum()[:1]), "1 value for 4"),
        (assigns(lambda batch: pair(batch)["count"].set_axis(list("abcd"))), "another index"),
        (assigns(lambda batch: {1, 2}), "no order"),
        (skips([True, False]), "2 values for 4 runs"),
        (wraps(assigns([1, 2])), "mine"),
        # The libraries find it before the batch does.
        (assigns(lambda batch: batch["count"] + np.array([1, 2])), "broadcast"),
        (assigns(lambda batch: np.where(batch["count"] > 0, [1, 2], 0)), "broadcast"),
        (assigns(lambda batch: np.select([batch["count"] > 0], [[1, 2]])), "broadcast"),
        (assigns(lambda batch: batch["count"].reshape(2)), "reshape"),
        (assigns(lambda batch: pair(batch).assign(x=[1, 2])["x"]), "Length of values"),
        (assigns(lambda batch: pair(batch)["count"] == np.arange(2)), "ngths must match"),
        (assigns(lambda batch: pd.DataFrame({"a": batch["count"], "b": [1, 2]})), "same length"),
        (assigns(lambda batch: batch.polars().with_columns(x=pl.Series([1, 2]))["x"]), "length"),
        (assigns(lambda batch: batch.polars()["count"] + pl.Series([1, 2])), "length"),
        (assigns(lambda batch: pc.add(batch.arrow["count"], pa.array([1, 2]))), "same length"),
    ],
)
def test_a_wrong_length_or_order_fails_the_batch_as_a_whole_with_one_error(
    execute: Execute, step: Any, found: str
) -> None:
    calls: list[int] = []

    def counted(batch: Any) -> Any:
        calls.append(len(batch))
        return step(batch)

    done = execute(counted, items(4), batch=True)
    assert done.outcomes == ["FAILED"] * 4
    assert calls == [4]
    assert len(set(done.failures.values())) == 1
    assert found in done.failures[0][1]


def test_a_length_that_fits_a_part_by_chance_fails_the_whole_batch(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        if 3 in batch["count"] and len(batch) > 1:
            raise RuntimeError("cursed")
        batch["price"] = 1.0
        return [DONE, BAD]

    done = execute(step, items(4), batch=True)
    assert done.outcomes == ["FAILED"] * 4
    assert "2 values for 1 run;" in done.failures[0][1]
    assert not done.result.changes


def test_assigned_columns_are_stored_and_read_back(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        batch["count"] = batch["count"] * 2
        batch["count"] = batch["count"] + 1
        batch["price"] = pa.array([0.5, None, 1.5])
        assert batch["price"].tolist() == [0.5, None, 1.5]
        batch["name"] = "same"
        return DONE

    done = execute(step, items(3), batch=True)
    assert done.change("count") == [1, 3, 5]
    assert done.change("price") == [0.5, None, 1.5]
    assert done.change("name") == ["same"] * 3
    assert all(change.written is None for change in done.result.changes.values())


def test_columns_that_are_read_cannot_be_changed_in_place(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        for name in ("count", "name", "price"):
            with pytest.raises(ValueError, match="read-only"):
                batch[name][0] = None
        return DONE

    assert execute(step, items(2), batch=True).outcomes == ["ADVANCED"] * 2


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda b: b.count, "A batch has no attribute 'count'. Read a column as batch['count']; "),
        (lambda b: b.df, "A batch has no attribute 'df'. Read a column as batch['"),
        (lambda b: b.wher, "A batch has no attribute 'wher'. Did you mean 'where'?"),
        (lambda b: b[["count", "name"]], "A batch is indexed by the name of one field, not by a l"),
        (list, "A batch can't be iterated. Compute with a column, such as batch['"),
    ],
)
def test_a_batch_read_like_a_frame_names_the_remedy(
    execute: Execute, read: Any, message: str
) -> None:
    done = execute(read, items(1), batch=True)
    assert done.failures[0][1].startswith(message)


def test_a_change_of_a_read_array_names_the_remedy(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        batch["count"] += 1

    done = execute(step, items(1), batch=True)
    assert 'assign the column, as in batch["n"] = batch["n"] + 1' in done.failures[0][1]


def test_a_method_that_was_not_called_is_named(execute: Execute) -> None:
    for batch in (True, False):
        done = execute(lambda made: made.skip, items(1), batch=batch)
        assert "the method 'skip' itself, which wasn't called; allowed" in done.failures[0][1]


def test_values_that_do_not_fit_fail_only_their_runs(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        batch["count"] = np.where(batch["count"] == 1, 0.5, batch["count"])
        return np.where(batch["count"] == 2, None, DONE)

    done = execute(step, items(4), batch=True)
    assert done.outcomes == ["ADVANCED", "FAILED", "SKIPPED", "ADVANCED"]
    assert done.change("count") == [0, "-", "-", 3]
    assert done.failures[1][0] == "InvalidObject"
    assert "field 'count'; it takes int" in done.failures[1][1]


def test_marks_override_the_answer_and_later_marks_override_earlier_ones(
    execute: Execute,
) -> None:
    def step(batch: Any) -> Any:
        count = batch["count"]
        batch["count"] = count + 10
        batch.fail(count == 0, ValueError("declined"))
        batch.fail(count == 1, "in words")
        batch.skip(pa.array(count == 2))
        batch.repeat(count == 3)
        batch.pause((count == 4).tolist(), "look")
        batch.cancel(pl.Series(count == 5), "gone")
        batch.fail(count == 6, KeyError)
        batch.skip(count == 6)
        return DONE

    done = execute(step, items(8), batch=True)
    kinds = "FAILED FAILED SKIPPED REPEATED PAUSED CANCELLED SKIPPED ADVANCED"
    assert done.outcomes == kinds.split()
    assert done.to == [None, None, None, "NEW", None, None, None, "DONE"]
    assert done.change("count") == ["-", "-", "-", 13, "-", "-", "-", 17]
    assert done.failures == {0: ("ValueError", "declined"), 1: ("StepError", "in words")}
    assert done.reasons == {4: "look", 5: "gone"}


def test_a_step_that_marks_every_run_needs_no_answer(execute: Execute) -> None:
    done = execute(lambda batch: batch.skip(True), items(2), batch=True)
    assert done.outcomes == ["SKIPPED", "SKIPPED"]


@pytest.mark.parametrize("mask", [np.array([1, 0]), "yes", np.array([True])])
def test_a_mask_that_is_not_one_bool_per_run_is_rejected(execute: Execute, mask: Any) -> None:
    def step(batch: Any) -> Any:
        with pytest.raises((TypeError, ValueError), match="mask"):
            batch.skip(mask)
        return DONE

    assert execute(step, items(2), batch=True).outcomes == ["ADVANCED"] * 2


def test_only_runs_that_fail_by_themselves_fail(execute: Execute) -> None:
    calls: list[int] = []

    def step(batch: Any) -> Any:
        calls.append(len(batch))
        if np.isin(batch["count"], [3, 11]).any():
            raise RuntimeError("cursed")
        batch["price"] = batch["count"] / 2
        return np.where(batch["count"] % 2 == 0, DONE, BAD)

    done = execute(step, items(16), batch=True)
    assert [row for row, outcome in enumerate(done.outcomes) if outcome == "FAILED"] == [3, 11]
    assert done.change("price") == ["-" if row in (3, 11) else row / 2 for row in range(16)]
    assert done.failures == dict.fromkeys([3, 11], ("RuntimeError", "cursed"))
    assert calls == [16, 8, 4, 2, 2, 1, 1, 4, 8, 4, 2, 2, 1, 1, 4]
    assert done.result.changes["price"].written is None


def test_columns_that_only_some_parts_assign_change_only_those_parts(
    execute: Execute,
) -> None:
    def step(batch: Any) -> Any:
        if len(batch) > 1:
            raise RuntimeError
        if batch["count"][0] == 1:
            batch["name"] = "set"
        return DONE

    assert execute(step, items(3), batch=True).change("name") == ["-", "set", "-"]


def test_undecided_runs_are_returned_when_the_slice_is_over(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        if len(batch) > 1:
            raise RuntimeError
        return DONE

    done = execute(step, items(4), batch=True, facts={"slice_seconds": 0.0})
    assert done.outcomes == ["ADVANCED", "RETURNED", "RETURNED", "RETURNED"]


def test_a_batch_knows_the_ids_status_attempts_and_times_of_its_runs(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        if len(batch) > 2:
            raise RuntimeError
        row = batch["count"][0]
        assert batch.run_id[0] == uuid.UUID(int=RUN_ID_BASE + int(row))
        assert batch.foreign_id[0] == f"f{row}"
        assert batch.attempt.tolist() == [2, 2]
        assert batch.created_at[0] == np.datetime64("2024-01-01")
        assert batch.status is Status.NEW
        assert batch.now == NOW
        assert not batch.stopping
        return DONE

    assert execute(step, items(4), batch=True).outcomes == ["ADVANCED"] * 4


def test_the_columns_can_be_read_by_arrow_and_polars(execute: Execute) -> None:
    def step(batch: Any) -> Any:
        assert batch.arrow.column_names == ["name", "count", "price", "tags"]
        frame = batch.polars()
        batch["count"] = frame["count"] + 1
        return frame.select(pl.when(pl.col("count") > 0).then(pl.lit("DONE"))).to_series()

    done = execute(step, items(2), batch=True)
    assert done.to == [None, "DONE"]
    assert done.change("count") == ["-", 2]


def test_fields_outside_columns_can_be_written_and_missing_fields_can_not() -> None:
    def step(batch: Any) -> Any:
        with pytest.raises(LookupError, match="doesn't read field 'count'; it reads name"):
            batch["count"]
        with pytest.raises(
            LookupError, match=r"no field 'cuont'\. Did you mean 'count'\? The fields are name"
        ):
            batch["cuont"] = 1
        batch["count"] = 5
        return DONE

    workflow = Workflow("things", Item, Status)
    workflow.add_step(Status.NEW, step, DONE, batch=True, columns=["name"])
    chunk = make_chunk(items(2), Item)
    rows = chunk.rows.select(["#seq", "#attempt", "#foreign_id", "#created_at", "name"])
    execution = Execution({"things": workflow}, NullControl())
    result = execution.execute(dataclasses.replace(chunk, rows=rows))
    assert result.outcomes.tolist() == [Outcome.ADVANCED] * 2
    assert result.changes["count"].values.to_pylist() == [5, 5]


PLANS = st.lists(
    st.tuples(
        st.sampled_from(["DONE", "BAD", "ELSEWHERE", None, "raise"]),
        st.sampled_from([1, 2.0, 2.5, None, "x"]),
        st.sampled_from(["", "skip", "repeat", "fail"]),
    ),
    min_size=1,
    max_size=9,
)


def follow(plans: list[tuple[Any, ...]], batch: Any) -> Any:
    mine = [plans[int(foreign_id[1:])] for foreign_id in batch.foreign_id]
    if any(answer == "raise" for answer, _, _ in mine):
        raise RuntimeError("no")
    batch["count"] = np.array([value for _, value, _ in mine], object)
    batch["price"] = [value for _, value, _ in mine]
    marks = np.array([mark for _, _, mark in mine])
    batch.skip(marks == "skip")
    batch.repeat(marks == "repeat")
    batch.fail(marks == "fail", "no")
    return [answer for answer, _, _ in mine]


@examples(20)
@given(PLANS)
def test_the_result_of_a_run_does_not_depend_on_the_rest_of_its_batch(
    execute: Execute, plans: list[tuple[Any, ...]]
) -> None:
    objects = items(len(plans))
    step = functools.partial(follow, plans)
    together = execute(step, objects, batch=True)
    for row in range(len(plans)):
        rows = make_chunk(objects, Item).rows.slice(row, 1)
        alone = execute(step, objects, batch=True, facts={"rows": rows})
        assert alone.outcomes == together.outcomes[row : row + 1]
        assert alone.to == together.to[row : row + 1]
        assert alone.failures.get(0) == together.failures.get(row)
        for name in ("count", "price"):
            ours = alone.change(name)[0] if name in alone.result.changes else "-"
            theirs = together.change(name)[row] if name in together.result.changes else "-"
            assert ours == theirs

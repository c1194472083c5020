"""Check a result that came from a worker, whose step may have written anything into it.

After the check, the coordinator looks rows and codes up without asking whether they exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.chunk.result import FAILURE_SCHEMA, NO_DESTINATION, REASON_SCHEMA
from batchflow.chunk.serialization import read_result
from batchflow.definition.outcome import KEEPS_CHANGES, Outcome

if TYPE_CHECKING:
    from batchflow.chunk.chunk import Chunk
    from batchflow.chunk.result import Change, ChunkResult, Leg
    from batchflow.definition.cause import Cause
    from batchflow.definition.fields import Field
    from batchflow.definition.step import Step
    from batchflow.definition.workflow import AnyWorkflow

_LONGEST_TEXT: Final = 1_000


class InvalidResultError(Exception):
    """A result that no execution of the chunk can have; the message names what is wrong with it."""


def checked_result(data: pa.Buffer, chunk: Chunk, workflow: AnyWorkflow) -> ChunkResult:
    """Read a result that came from a worker, and check it.

    Raises:
        InvalidResultError: It can't be read, or doesn't fit its chunk.
    """
    try:
        result = read_result(data)
        check_result(result, chunk, workflow)
    except InvalidResultError as error:
        raise InvalidResultError(f"a result that doesn't fit its chunk: {error}") from error
    except Exception as error:
        # Arrow, NumPy and JSON have errors of many classes for data that they can't read.
        raise InvalidResultError("a result that can't be read") from error
    return result


def check_result(result: ChunkResult, chunk: Chunk, workflow: AnyWorkflow) -> None:
    """Check that a result fits its chunk, and that its columns are what they claim to be.

    Raises:
        InvalidResultError: It doesn't.
    """
    for problem in _problems(result, chunk, workflow):
        raise InvalidResultError(problem)


def _problems(result: ChunkResult, chunk: Chunk, workflow: AnyWorkflow) -> Iterator[str]:
    rows, step = chunk.num_rows, workflow.steps[chunk.from_code]
    if result.chunk_id != chunk.chunk_id:
        yield "it is of another chunk"
    yield from _outcome_problems(result, rows, step, len(workflow.statuses))
    yield from _leg_problems(result, chunk, workflow)
    fields = {field.name: field for field in workflow.fields}
    kept = KEEPS_CHANGES[result.outcomes]
    for name, change in result.changes.items():
        if name not in fields:
            yield "it changes a field that there isn't"
        yield from _change_problems(change, fields[name], kept)
    yield from _table_problems(result.failures, FAILURE_SCHEMA, rows)
    yield from _table_problems(result.reasons, REASON_SCHEMA, rows)
    yield from _place_problems(result, rows, workflow)
    explained = np.zeros(rows, np.bool_)
    explained[result.failures["row"].to_numpy()] = True
    if not explained[result.outcomes == Outcome.FAILED].all():
        yield "a run failed without an error"
    for leg in result.later:
        if not explained[leg.rows[leg.outcomes == Outcome.FAILED]].all():
            yield "a run failed without an error"


def _place_problems(result: ChunkResult, rows: int, workflow: AnyWorkflow) -> Iterator[str]:
    if not (result.worker is None or _is_text(result.worker)):
        yield "its worker has no name"
    if not all(_is_cause(cause) for cause in result.causes):
        yield "a cause has values of other types"
    for row, code, seconds in result.slowest:
        if type(row) is not int or row not in range(rows) or not _is_duration(seconds):
            yield "a slow run isn't one of the chunk, or its duration is no number of seconds"
        if type(code) is not int or code not in workflow.steps:
            yield "a slow run is of a status without a step"


def _is_cause(cause: Cause) -> bool:
    place = cause.place
    texts: list[object] = [cause.id, cause.description, cause.type, cause.message, *cause.chain]
    if place is not None:
        texts += [place.file, place.function, place.source]
    has_line = place is None or (type(place.line) is int and place.line in range(2**31))
    return has_line and all(map(_is_text, texts))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_duration(seconds: object) -> bool:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return is_number and math.isfinite(seconds) and seconds >= 0  # type: ignore[arg-type,operator]


def _outcome_problems(
    result: ChunkResult | Leg, rows: int, step: Step, statuses: int
) -> Iterator[str]:
    outcomes, codes = result.outcomes, result.to_codes
    if not _is_duration(result.seconds):
        yield "its duration is no number of seconds"
    if not _is_column(outcomes, np.int8, rows):
        yield "its outcomes aren't one int8 for each run"
    if not _is_column(codes, np.int16, rows):
        yield "its destinations aren't one int16 for each run"
    if not _are_within(outcomes, 0, len(Outcome)):
        yield "an outcome has an unknown code"
    if not _are_within(codes, NO_DESTINATION, statuses):
        yield "a destination has an unknown code"
    if not _destinations(step, statuses)[outcomes, codes].all():
        yield "a destination isn't one of the step's"


def _leg_problems(result: ChunkResult, chunk: Chunk, workflow: AnyWorkflow) -> Iterator[str]:
    """Follow the runs from step to step: each must be where the next step finds it."""
    if not result.later:
        return
    if chunk.visit is None:
        yield "it has further steps, although the chunk has none"
    moves = workflow.visit_moves
    may_continue = moves.forward | moves.back
    at = np.where(KEEPS_CHANGES[result.outcomes], result.to_codes, NO_DESTINATION)
    before = np.full(chunk.num_rows, chunk.from_code)
    for leg in result.later:
        code, rows = leg.from_code, leg.rows
        if code not in workflow.steps:
            yield "a further step is of a status without one"
        if not _is_column(rows, np.int32, len(rows)):
            yield "the rows of a further step aren't int32"
        if not _are_within(rows, 0, chunk.num_rows) or not _are_distinct(rows, chunk.num_rows):
            yield "a further step has a row that there isn't, or one twice"
        # NumPy would convert them for each look.
        places = rows.astype(np.intp)
        if not (at[places] == code).all() or not may_continue[before[places], code].all():
            yield "a further step has a run that isn't at its status"
        yield from _outcome_problems(leg, len(rows), workflow.steps[code], len(workflow.statuses))
        at[places] = np.where(KEEPS_CHANGES[leg.outcomes], leg.to_codes, NO_DESTINATION)
        before[places] = code


def _destinations(step: Step, statuses: int) -> npt.NDArray[np.bool_]:
    """Return which destinations each outcome may have; the last column is for none."""
    allowed = np.zeros((len(Outcome), statuses + 1), np.bool_)
    allowed[:, NO_DESTINATION] = True
    allowed[[Outcome.ADVANCED, Outcome.REPEATED], NO_DESTINATION] = False
    allowed[Outcome.ADVANCED, list(step.to_codes)] = True
    allowed[Outcome.REPEATED, step.from_code] = True
    return allowed


def _change_problems(change: Change, field: Field, kept: npt.NDArray[np.bool_]) -> Iterator[str]:
    values, written = change.values, change.written
    if values.type != field.type.arrow:
        yield "a field has values of another type"
    if len(values) != len(kept):
        yield "a field hasn't one value for each run"
    values.validate(full=True)
    if written is not None and not _is_column(written, np.bool_, len(kept)):
        yield "the runs whose field was written aren't one bool for each run"
    if values.null_count and not field.nullable:
        stored = kept if written is None else kept & written
        if values.is_null().to_numpy(zero_copy_only=False)[stored].any():
            yield "a field that is never None has a null"


def _table_problems(table: pa.Table, expected: pa.Schema, rows: int) -> Iterator[str]:
    if not table.schema.equals(expected):
        yield "a table has other columns"
    table.validate(full=True)
    if any(column.null_count for column in table.columns):
        yield "a table has a null"
    places = table["row"].to_numpy()
    if not _are_within(places, 0, rows) or not _are_distinct(places, rows):
        yield "a table has a row that there isn't, or one twice"


def _is_column(array: npt.NDArray[Any], dtype: type[np.generic], rows: int) -> bool:
    return array.dtype == np.dtype(dtype) and array.shape == (rows,)


def _are_within(numbers: npt.NDArray[np.integer], least: int, end: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= least and numbers.max() < end)


def _are_distinct(places: npt.NDArray[np.integer], rows: int) -> bool:
    seen = np.zeros(rows, np.bool_)
    seen[places] = True
    return int(np.count_nonzero(seen)) == len(places)

"""Build a chunk's result: outcomes, the changes that are stored, failures and reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.chunk.result import (
    FAILURE_SCHEMA,
    NO_DESTINATION,
    REASON_SCHEMA,
    Change,
    ChunkResult,
)
from batchflow.columns.misfit import phrase_of
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.cause import distinct
from batchflow.definition.fields import Field
from batchflow.definition.outcome import KEEPS_CHANGES, Outcome
from batchflow.definition.step import Step
from batchflow.errors import InvalidObject
from batchflow.worker.failure import Failure, FailureRecorder
from batchflow.worker.verdict import Verdict

WrittenField = tuple[Field, WrittenColumn, npt.NDArray[np.bool_] | None]


class ResultBuilder:
    """Collect the results of a step, and check that the values it left fit their columns."""

    def __init__(self, step: Step, recorder: FailureRecorder, log_values: bool = False) -> None:
        self._step = step
        self._log_values = log_values
        self._recorder = recorder
        self._failures: dict[int, Failure] = {}

    def raised(self, row: int, error: BaseException) -> None:
        """Record that the step raised `error` for the run at `row`."""
        self._failures[row] = self._recorder.record(error)

    def failed(self, rows: Iterable[int], error: BaseException) -> None:
        """Record that the runs at `rows` failed with the same error."""
        self._failures.update(dict.fromkeys(rows, self._recorder.record(error)))

    def build(
        self,
        chunk_id: int,
        verdict: Verdict,
        written: Iterable[WrittenField],
        seconds: float,
        slowest: tuple[tuple[int, int, float], ...] = (),
    ) -> ChunkResult:
        """Return the result; a value that doesn't fit its column fails its run."""
        for row, error in verdict.invalid.items():
            self.raised(row, error)
        changes = dict(self._changes(verdict, written))
        return ChunkResult(
            chunk_id=chunk_id,
            outcomes=verdict.outcomes,
            to_codes=verdict.to_codes,
            changes=changes if _keeping(verdict).any() else {},
            failures=_failures_table(self._failures),
            reasons=_reasons_table(verdict.reasons),
            seconds=seconds,
            causes=distinct(failure.cause for failure in self._failures.values()),
            slowest=slowest,
        )

    def _changes(
        self, verdict: Verdict, written: Iterable[WrittenField]
    ) -> Iterable[tuple[str, Change]]:
        for field, column, mask in written:
            self._fail_unfit(verdict, field, column, mask)
            kept = None if mask is None else mask[_keeping(verdict)]
            if kept is None or kept.any():
                yield field.name, Change(column.array, None if kept is None or kept.all() else mask)

    def _fail_unfit(
        self,
        verdict: Verdict,
        field: Field,
        column: WrittenColumn,
        mask: npt.NDArray[np.bool_] | None,
    ) -> None:
        keeping = _keeping(verdict)
        for row, found in column.problems.items():
            if keeping[row] and (mask is None or mask[row]):
                self.raised(row, self._invalid_object(field, found))
                verdict.fail(row)

    def _invalid_object(self, field: Field, found: str) -> InvalidObject:
        left = phrase_of(found, log_values=self._log_values)
        return InvalidObject(
            f"Step {self._step.name!r} left {left} in field {field.name!r}; it takes {field.type}."
        )


def without_other_failures(result: ChunkResult) -> ChunkResult:
    """Return the result with the failures only of those runs whose outcome is a failure."""
    rows = result.failures["row"].to_numpy()
    failed = pa.array(result.outcomes[rows] == Outcome.FAILED)
    return dataclasses.replace(result, failures=result.failures.filter(failed))


def with_returned(result: ChunkResult, rows: int) -> ChunkResult:
    """Return the result with `rows` more runs at its end, which weren't executed."""
    outcomes = np.full(rows, Outcome.RETURNED, np.int8)
    nowhere = np.full(rows, NO_DESTINATION, np.int16)
    unwritten = np.zeros(rows, np.bool_)
    changes = {
        name: Change(
            pa.concat_arrays([change.values, pa.nulls(rows, change.values.type)]),
            None if change.written is None else np.concatenate([change.written, unwritten]),
        )
        for name, change in result.changes.items()
    }
    return dataclasses.replace(
        result,
        outcomes=np.concatenate([result.outcomes, outcomes]),
        to_codes=np.concatenate([result.to_codes, nowhere]),
        changes=changes,
    )


def _keeping(verdict: Verdict) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = KEEPS_CHANGES.take(verdict.outcomes)
    return kept


def _failures_table(failures: Mapping[int, Failure]) -> pa.Table:
    if not failures:
        return FAILURE_SCHEMA.empty_table()
    rows = sorted(failures)
    names = [name for name in FAILURE_SCHEMA.names if name not in ("row", "cause")]
    columns: dict[str, Any] = {
        name: [getattr(failures[row], name) for row in rows] for name in names
    }
    columns["cause"] = [failures[row].cause.id for row in rows]
    return pa.table({"row": rows, **columns}, schema=FAILURE_SCHEMA)


def _reasons_table(reasons: Mapping[int, str]) -> pa.Table:
    if not reasons:
        return REASON_SCHEMA.empty_table()
    rows = sorted(reasons)
    return pa.table({"row": rows, "reason": [reasons[row] for row in rows]}, schema=REASON_SCHEMA)

"""Turn the answer of a batch step into outcomes: one status for all runs, or one for each."""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_writing import to_array
from batchflow.columns.arrays import object_array
from batchflow.columns.missing import is_missing
from batchflow.columns.row_order import (
    ColumnShapeError,
    WrongLengthError,
    counted_values,
    require_one_column,
)
from batchflow.definition.outcome import Outcome
from batchflow.definition.step import Step
from batchflow.errors import InvalidOutcome
from batchflow.view.marks import UNMARKED, Marks
from batchflow.view.status_codes import StatusCodes
from batchflow.worker.identity import Identities
from batchflow.worker.verdict import Verdict, describe_answer, invalid_outcome

_STAY: Final = -1
_INVALID: Final = -2
_MOST_CODES: Final = 256
_NUMBERS: Final = (int, float, np.integer, np.floating)
# Python can iterate over these types, but the items aren't a column.
_NO_COLUMNS: Final = (type, bytes, bytearray, memoryview, Mapping, Set, types.MethodType)
_USE_CODES: Final = "; batch.codes(...) takes the codes of statuses"

Codes = npt.NDArray[np.int64]


class BatchAnswers:
    """Decode the answers of one batch step.

    A status is a member, its name, or a code in `StatusCodes`. NumPy turns members that are ints or
    strings into their values, so a column may have the values of such an enum too, which take
    precedence over names. None, NaN, NaT and NA are nulls.
    """

    def __init__(self, step: Step, statuses: Sequence[enum.Enum]) -> None:
        self._step = step
        self._statuses = statuses
        self._type = type(step.from_status)
        self._by_text: dict[Any, int] = {member.name: code for code, member in enumerate(statuses)}
        self._by_number: dict[Any, int] = {}
        if issubclass(self._type, str):
            self._by_text |= _codes_by_value(statuses)
        if issubclass(self._type, int):
            self._by_number = _codes_by_value(statuses)
        self._declared = np.zeros(_MOST_CODES, dtype=np.bool_)
        self._declared[list(step.to_codes)] = True

    def judge(self, answer: Any, marks: Marks) -> Verdict:
        """Return the outcomes of the runs.

        Raises:
            InvalidOutcome: The answer as a whole isn't valid, so no run has an outcome.
        """
        rows = len(marks.outcomes)
        codes = np.full(rows, _STAY, dtype=np.int64)
        answers: Any = ()
        if answer is not None or not marks.complete:
            codes, answers = self._codes(answer, rows)
        verdict = self._verdict(codes)
        self._reject_undeclared(verdict, codes, answers, marks, isinstance(answer, StatusCodes))
        _apply(marks, verdict, self._step)
        return verdict

    def _verdict(self, codes: Codes) -> Verdict:
        verdict = Verdict.of(len(codes), Outcome.FAILED)
        moves = (codes >= 0) & self._declared[codes]
        np.putmask(verdict.outcomes, moves, Outcome.ADVANCED)
        np.copyto(verdict.to_codes, codes, where=moves, casting="same_kind")
        np.putmask(verdict.outcomes, codes == _STAY, Outcome.SKIPPED)
        return verdict

    def _reject_undeclared(
        self, verdict: Verdict, codes: Codes, answers: Any, marks: Marks, as_codes: bool
    ) -> None:
        unmarked = marks.outcomes == UNMARKED
        wrong = np.flatnonzero((verdict.outcomes == Outcome.FAILED) & unmarked)
        for row in wrong.tolist():
            code = codes[row]
            if code == _INVALID and as_codes:
                found = (
                    f"a code outside of 0 to {len(self._statuses) - 1}, the codes of the statuses"
                )
            else:
                found = self._described(_one_of(answers, row), code)
            verdict.invalid[row] = invalid_outcome(self._step, found)

    def _described(self, answered: Any, code: int) -> str:
        if code != _INVALID:
            return describe_answer(self._statuses[code], self._step)
        found = describe_answer(answered, self._step)
        return found + _USE_CODES if _is_number(answered) else found

    def _codes(self, answer: Any, rows: int) -> tuple[Codes, Any]:
        """Return the code for each run, and the answers themselves to describe invalid ones."""
        try:
            return self._decoded(_unwrapped(answer), rows)
        except InvalidOutcome:
            raise
        except ColumnShapeError as error:
            raise invalid_outcome(self._step, error.found) from error
        except Exception as error:
            found = f"{describe_answer(answer, self._step)}, which can't be read as a column"
            raise invalid_outcome(self._step, found) from error

    def _decoded(self, answer: Any, rows: int) -> tuple[Codes, Any]:
        if answer is None or isinstance(answer, _NO_COLUMNS):
            raise invalid_outcome(self._step, describe_answer(answer, self._step))
        if isinstance(answer, StatusCodes):
            return self._explicit_codes(answer, rows), answer.codes
        if isinstance(answer, enum.Enum | str | int | np.integer):
            return np.full(rows, self._code(answer)), [answer] * rows
        require_one_column(answer)
        column = to_array(answer, rows)
        if getattr(column, "ndim", 1) != 1:
            raise ColumnShapeError(f"an array of {column.ndim} dimensions", "Give one of 1.")
        if len(column) != rows:
            raise WrongLengthError(counted_values(len(column)), rows)
        return self._column_codes(column), column

    def _explicit_codes(self, answer: StatusCodes, rows: int) -> Codes:
        if len(answer.codes) != rows:
            raise WrongLengthError(f"codes of {counted_values(len(answer.codes))}", rows)
        known = (answer.codes >= 0) & (answer.codes < len(self._statuses))
        return np.where(answer.stays, _STAY, np.where(known, answer.codes, _INVALID))

    def _column_codes(self, column: npt.NDArray[Any] | pa.Array) -> Codes:
        if isinstance(column, np.ma.MaskedArray):
            codes = self._column_codes(np.asarray(column.data))
            codes[np.ma.getmaskarray(column)] = _STAY
            return codes
        if isinstance(column, pa.Array):
            return self._arrow_codes(column)
        if column.dtype.kind in "iu":
            return self._number_codes(column)
        if column.dtype.kind in "UT":
            return self._arrow_codes(pa.array(column, pa.string()))
        return self._object_codes(column.astype(object))

    def _number_codes(self, column: npt.NDArray[Any]) -> Codes:
        distinct, places = np.unique(column, return_inverse=True)
        return self._looked_up(distinct.tolist(), self._by_number)[places]

    def _arrow_codes(self, column: pa.Array) -> Codes:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        codes = self._object_codes(object_array(column.dictionary.to_pylist()))
        codes = np.append(codes, _STAY)
        places = column.indices.cast(pa.int64()).fill_null(len(codes) - 1)
        return np.asarray(codes[places.to_numpy()])

    def _object_codes(self, column: npt.NDArray[Any]) -> Codes:
        codes = np.full(len(column), _INVALID, dtype=np.int64)
        identities = Identities(column)
        for member, code in zip(self._step.to, self._step.to_codes, strict=True):
            np.putmask(codes, identities.of(member), code)
        np.putmask(codes, identities.of(None), _STAY)
        # This loops over rows, but only those that aren't members of `to`.
        for row in np.flatnonzero(codes == _INVALID).tolist():
            # An answer that raises when it is inspected is invalid for its own run only.
            with contextlib.suppress(Exception):
                codes[row] = self._code(column[row])
        return codes

    def _code(self, answer: Any) -> int:
        """Return the code of one answer: `_STAY` for a null, `_INVALID` if it isn't a status."""
        if _is_null(answer):
            return _STAY
        if type(answer) is self._type:
            return self._code_of_member(answer)
        if isinstance(answer, str):
            return self._by_text.get(answer, _INVALID)
        if isinstance(answer, _NUMBERS) and not isinstance(answer, bool | enum.Enum):
            return self._by_number.get(answer, _INVALID)
        return _INVALID

    def _code_of_member(self, answer: enum.Enum) -> int:
        # An enum may define its own equality, and a combination of flags isn't a status.
        codes = (code for code, member in enumerate(self._statuses) if member is answer)
        return next(codes, _INVALID)

    def _looked_up(self, answers: list[Any], codes: Mapping[Any, int]) -> Codes:
        return np.array([codes.get(answer, _INVALID) for answer in answers], dtype=np.int64)


def _codes_by_value(statuses: Sequence[enum.Enum]) -> dict[Any, int]:
    return {member.value: code for code, member in enumerate(statuses)}


def _unwrapped(answer: Any) -> Any:
    """Return the Python value of a NumPy or Arrow scalar."""
    if isinstance(answer, np.ndarray) and answer.ndim == 0:
        return answer.item()
    return answer.as_py() if isinstance(answer, pa.Scalar) else answer


def _one_of(answers: Any, row: int) -> Any:
    """Return the answer for one run, as a Python value if it has one."""
    answer = answers[row]
    with contextlib.suppress(Exception):
        answer = _unwrapped(answer)
    return answer


def _is_number(answer: Any) -> bool:
    # By its class, because an object may raise when its `__class__` is read.
    kind = type(answer)
    return issubclass(kind, int | np.integer) and not issubclass(kind, bool | enum.Enum)


def _is_null(answer: Any) -> bool:
    if isinstance(answer, float | np.floating):
        return bool(np.isnan(answer))
    return answer is None or is_missing(answer)


def _apply(marks: Marks, verdict: Verdict, step: Step) -> None:
    marked = marks.outcomes != UNMARKED
    verdict.outcomes[marked] = marks.outcomes[marked]
    verdict.to_codes[marked] = -1
    verdict.to_codes[marks.outcomes == Outcome.REPEATED] = step.from_code
    verdict.reasons.update(marks.reasons())

"""Execute a row step for one run after the other."""

from __future__ import annotations

import sys
import time
from typing import Any

from batchflow.view.run import Run
from batchflow.worker.control import NO_ROW
from batchflow.worker.row_session import RowSession

# How often a step of many quick runs checks for a stop.
_CHECK_SECONDS = 0.0005

# A run is reused if the step kept no reference: only a name here and the argument refer to it.
_ONLY_OURS = 2


def execute_one_by_one(session: RowSession) -> None:
    """Call the step for each run until the slice is over; for at least one run."""
    if session.row_step.view_type is None:
        _with_whole_objects(session)
    else:
        _with_views(session)


def _with_whole_objects(session: RowSession) -> None:
    for row in range(session.num_rows):
        deadline = session.deadline()
        session.control.enter(row, deadline)
        session.execute(row, deadline)
        if session.slice.is_over(time.monotonic()):
            break


def _with_views(session: RowSession) -> None:
    """Do the same as `_with_whole_objects`, with all calls for each run inlined.

    This loop is most of the cost of a short row step: each call that it avoids is a tenth of what
    batchflow adds to the user's own function.
    """
    columns, sealed = session.columns, session.columns.sealed
    touched, answers = columns.touched, session.answers
    context, function = session.context, session.row_step.function
    new: Any = object.__new__
    view_type, control = session.row_step.view_type, session.control
    has_timeout = session.row_step.step.options.timeout_seconds is not None
    is_over, monotonic = session.slice.is_over, time.monotonic
    next_check = 0.0
    control.enter(NO_ROW, None)
    current, references = control.current_row, sys.getrefcount
    run: Any = None
    for row in range(session.num_rows):
        view = new(view_type)
        view._batchflow_row = row
        view._batchflow_columns = columns
        if references(run) != _ONLY_OURS:
            run = new(Run)
            run._context = context
            run._deadline = None
        run.object = view
        run._row = row
        if has_timeout:
            run._deadline = deadline = session.deadline()
            control.enter(row, deadline)
        current[0] = row
        try:
            answer = function(run)
            if touched or run.object is not view:
                session.settle(row, view, run.object)
            else:
                view._batchflow_columns = sealed
            answers[row] = answer
        except BaseException as error:
            session.fail(row, view, error)
        now = monotonic()
        if now >= next_check:
            if is_over(now):
                break
            next_check = now + _CHECK_SECONDS

"""Execute a row step for one run after the other."""

from __future__ import annotations

import sys
import time
from typing import Any

from batchflow.view.object_view import COLUMNS, ROW
from batchflow.view.run import Run
from batchflow.worker.control import NO_ROW
from batchflow.worker.row_session import RowSession

# How often a step of many quick runs checks for a stop.
_CHECK_SECONDS = 0.0005

# A run, and its object's view, are reused if the step kept no reference: only a name here and the
# argument refer to the run, and the run refers to the view as well.
_ONLY_OURS = 2
_OURS_AND_THE_RUNS = 3


def execute_one_by_one(session: RowSession) -> None:
    """Call the step for each run until the slice is over; for at least one run."""
    if session.row_step.view_type is None:
        _with_whole_objects(session)
    else:
        _with_views(session)


def _with_whole_objects(session: RowSession) -> None:
    for row, place in enumerate(session.places):
        deadline = session.deadline()
        session.control.enter(place, deadline)
        session.control.current_row[0] = place
        session.execute(row, deadline)
        if session.slice.is_over(time.monotonic()):
            break


def _with_views(session: RowSession) -> None:  # noqa: C901, PLR0915 - see below
    """Do the same as `_with_whole_objects`, with all calls for each run inlined.

    This loop is most of the cost of a short row step: each call that it avoids is a tenth of what
    batchflow adds to the user's own function.
    """
    columns, sealed = session.columns, session.sealed
    touched, nested, answers = columns.touched, columns.nested, session.answers
    context, function = session.context, session.row_step.function
    new: Any = object.__new__
    view_type, control = session.row_step.view_type, session.control
    attributes_of: Any = session.row_step.attributes_of
    has_timeout = session.row_step.step.options.timeout_seconds is not None
    is_over, monotonic, slowest = session.slice.is_over, time.monotonic, session.slowest
    next_check, checked = 0.0, monotonic()
    control.enter(NO_ROW, None)
    current, references = control.current_row, sys.getrefcount
    run: Any = None
    view: Any = None
    attributes: dict[str, Any] = {}
    for row, place in enumerate(session.places):
        if references(run) != _ONLY_OURS:
            if view is not None:
                attributes[COLUMNS] = sealed
            run, view = new(Run), None
            run._context = context
            run._deadline = None
        if view is None:
            view = new(view_type)
            attributes = attributes_of(view)
            attributes[COLUMNS] = columns
            run.object = view
        attributes[ROW] = row
        run._row = row
        if has_timeout:
            run._deadline = deadline = session.deadline()
            control.enter(place, deadline)
        current[0] = place
        try:
            answer = function(run)
            if run.object is not view or (touched and columns.settle(row)):
                session.take_over(row, view, run.object)
                view = None
            elif references(view) != _OURS_AND_THE_RUNS:
                attributes[COLUMNS] = sealed
                view = None
            elif nested and references(run) == _ONLY_OURS:
                for column in nested:
                    column.forget(row)
            answers[row] = answer
        except BaseException as error:
            session.fail(row, view, error)
            view = None
        now = monotonic()
        if now >= next_check:
            # Most of the time since the last check is the last run's, if it is that long.
            slowest.took(row, now - checked)
            if is_over(now):
                break
            checked, next_check = now, now + _CHECK_SECONDS

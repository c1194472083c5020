"""Consecutive SQL steps as one query, in which each step sees what those before it set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from batchflow.definition.run_state import RunState
from batchflow.definition.step import Step
from batchflow.store.query.permission import has_subquery
from batchflow.store.runs.exact_values import ExactValue
from batchflow.store.runs.moving import RUN_STATES
from batchflow.store.schema.layout import RUN_STATE_TYPE, Layout, quote
from batchflow.store.sql_steps.sql_in_place import NotInPlaceError
from batchflow.store.sql_steps.sql_task import SqlTask

Values: TypeAlias = Mapping[int, Mapping[str, ExactValue]]
"""For each step, by its code, the value of each field that it sets."""

ATTEMPT, VERSION, INITIATED = '"#attempt"', '"#version"', '"#initiated"'
# A step adds a subquery, and a statement of more takes DuckDB longer to plan than it saves.
_MOST_STEPS: Final = 12


@dataclass(frozen=True)
class SqlVisit:
    """The SQL steps that the runs of a span go through together.

    Attributes:
        tasks: The steps, each with the span's runs. Those of a later status come later.
    """

    tasks: tuple[SqlTask, ...]

    @classmethod
    def of(cls, first: SqlTask, onward: Sequence[Step]) -> SqlVisit:
        """Return a visit that begins with a step and may continue with those in `onward`.

        `onward` is in the order of the statuses. A step whose expressions read other runs is left
        out, as it would read them before they are where they belong.
        """
        moves = first.layout.workflow.visit_moves
        codes = [first.step.from_code]
        if _reads_other_runs(first.step):
            return cls((first,))
        tasks = [first]
        for step in onward:
            reached = any(moves.forward[code, step.from_code] for code in codes)
            if reached and len(tasks) < _MOST_STEPS and not _reads_other_runs(step):
                codes.append(step.from_code)
                tasks.append(first.for_step(step))
        return cls(tuple(tasks))

    @property
    def layout(self) -> Layout:
        """The tables."""
        return self.tasks[0].layout

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        """The fields that at least one of the steps sets."""
        names = {name for task in self.tasks for name in task.step.set_expressions}
        return tuple(field.name for field in self.layout.fields if field.name in names)

    def query(self, values: Values) -> str:
        """Return the query of what the steps do to the claimable runs.

        Its columns are ``seq``; ``#attempt`` and ``#version`` as claimed; ``#initiated``, whether
        no step has moved the run yet; for each step the column `destination`; and the fields that
        the steps set.
        """
        first, *following = self.tasks
        source = (
            f"SELECT *, attempt AS {ATTEMPT}, version AS {VERSION}, "
            f"run_state = {RUN_STATES[RunState.INITIATED]} AS {INITIATED} FROM {first.rows}"
        )
        source = self._stepped(first, source, values)
        for task in following:
            source = self._stepped(task, self._committed(task, source), values)
        columns = ["seq", ATTEMPT, VERSION, INITIATED]
        columns += [destination(task.step.from_code) for task in self.tasks]
        columns += [quote(self.layout.workflow.field(name).column) for name in self.field_names]
        return f"SELECT {', '.join(columns)} FROM ({source})"

    def moves_before(self, code: int) -> str:
        """Return the number of steps that moved a run before the step of a status."""
        moves = [
            f"({destination(task.step.from_code)} IS NOT NULL)::INTEGER"
            for task in self.before(code)
        ]
        return " + ".join(moves) or "0"

    def came_to(self, code: int) -> str:
        """Return the condition that the step of a status is executed for a run."""
        forward = self.layout.workflow.visit_moves.forward
        return " OR ".join(
            f"{destination(task.step.from_code)} = {code}"
            for task in self.before(code)
            if forward[task.step.from_code, code]
        )

    def before(self, code: int) -> Iterator[SqlTask]:
        """Yield the steps of earlier statuses."""
        for task in self.tasks:
            if task.step.from_code == code:
                return
            yield task

    def _committed(self, task: SqlTask, source: str) -> str:
        """Return the runs with the engine's columns as they are if all before is committed."""
        layout, code = self.layout, task.step.from_code
        columns = {
            "status": f"{layout.status(code)}::{layout.status_type}",
            "run_state": f"{RUN_STATES[RunState.RUNNING]}::{RUN_STATE_TYPE}",
            "version": f"{VERSION} + {self.moves_before(code)}",
            "attempt": "1",
            "next_attempt_at": "NULL::TIMESTAMPTZ",
            "reason": "NULL::VARCHAR",
            "updated_at": "$now::TIMESTAMPTZ",
        }
        replaced = ", ".join(f"{value} AS {name}" for name, value in columns.items())
        return f"SELECT * REPLACE ({replaced}) FROM ({source})"

    def _stepped(self, task: SqlTask, source: str, values: Values) -> str:
        """Return the runs as the step leaves them.

        Its expressions are evaluated once for each run that it is executed for, and for no others.
        """
        code, when = task.step.from_code, self.came_to(task.step.from_code)
        given = [
            f"{_if(when, value.in_parentheses, 'NULL')} AS {_given(code, name)}"
            for name, value in values[code].items()
        ]
        to = f"{_if(when, _code_of_status(task), 'NULL')}::UTINYINT AS {destination(code)}"
        evaluated = f"SELECT *, {', '.join([*given, to])} FROM ({source}) AS runs"
        replaced = [self._replaced(code, name, value) for name, value in values[code].items()]
        if not replaced:
            return evaluated
        return f"SELECT * REPLACE ({', '.join(replaced)}) FROM ({evaluated})"

    def _replaced(self, code: int, name: str, value: ExactValue) -> str:
        field = self.layout.workflow.field(name)
        checked = value.over(_given(code, name)).checked
        if checked is None:
            raise NotInPlaceError
        if not field.nullable:
            # A later step may hide from the table's constraint that this one set NULL.
            checked = f"coalesce({checked}, error('NULL'))"
        when, column = f"{destination(code)} IS NOT NULL", quote(field.column)
        if code == self.tasks[0].step.from_code:
            return f"{checked} AS {column}"
        return f"{_if(when, checked, column)} AS {column}"


def _given(code: int, name: str) -> str:
    """Return the column of the value that the step of a status sets, before it is checked."""
    return quote(f"#set:{code}:{name}")


def destination(code: int) -> str:
    """Return the column of the status to which the step of a status moved a run, as a code.

    NULL if that step wasn't executed for it.
    """
    return quote(f"#to:{code}")


def _if(condition: str, value: str, otherwise: str) -> str:
    return f"CASE WHEN {condition} THEN {value} ELSE {otherwise} END" if condition else value


def _code_of_status(task: SqlTask) -> str:
    if task.step.constant_status is not None:
        return str(task.destinations[0])
    cases = " ".join(
        f"WHEN {task.layout.status(code)} THEN {code}" for code in sorted(task.destinations)
    )
    return f"CASE {task.status} {cases} ELSE error('undeclared') END"


def _reads_other_runs(step: Step) -> bool:
    expressions = [*step.set_expressions.values(), step.status_expression]
    return any(sql is not None and has_subquery(sql) for sql in expressions)

"""A store with one workflow, and short ways to put runs in and to look at them."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa
from emptying import empty

from batchflow.definition.fields import UTC, Precision
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.definition.step import Step
from batchflow.definition.workflow import Workflow
from batchflow.store import CommitResult, Relation, SqlStepResult, StepCommit, Store
from batchflow.store.schema.layout import quote
from batchflow.testing import FakeClock
from kit.open_store import OpenStore

NOW = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)


class Status(enum.Enum):
    NEW = "new"
    CHECKED = "checked"
    REFUSED = "refused"
    DONE = "done"


@dataclass
class Parcel:
    weight: int
    label: str = "none"
    note: str | None = None


@dataclass
class Point:
    x: int
    sure: bool


@dataclass
class Everything:
    flag: bool
    flags: list[bool]
    points: list[Point]
    marks: dict[str, bool]
    price: Annotated[Decimal, Precision(18, 2)]
    raw: bytes
    day: dt.date
    local: dt.datetime
    moment: Annotated[dt.datetime, UTC]
    wait: dt.timedelta
    key: UUID
    kind: Status
    status: str | None = None


KEY = uuid4()
VALUES: dict[str, tuple[str, Any]] = {
    "flag": ("true", True),
    "flags": ("[true, false]", [True, False]),
    "points": ("[{'x': 1, 'sure': true}]", [Point(1, True)]),
    "marks": ("MAP {'a': true}", {"a": True}),
    "price": ("12.34", Decimal("12.34")),
    "raw": ("'\\x00\\xFF'::BLOB", b"\x00\xff"),
    "day": ("DATE '2026-01-05'", dt.date(2026, 1, 5)),
    "local": ("TIMESTAMP '2026-01-05 12:00:00.000001'", NOW.replace(tzinfo=None, microsecond=1)),
    "moment": (f"TIMESTAMPTZ '{NOW}'", NOW),
    "wait": ("INTERVAL 90 SECONDS", dt.timedelta(seconds=90)),
    "key": (f"UUID '{KEY}'", KEY),
    "kind": ("'DONE'", Status.DONE),
    "object_status": ("'mine'", "mine"),
}


def put_everything(bench: Bench, *, rows: int, attempt: int = 1) -> None:
    """Put runs in whose object has a value of each type."""
    names, values = ", ".join(VALUES), ", ".join(sql for sql, _ in VALUES.values())
    with bench.store.connection.write() as cursor:
        cursor.execute(
            "INSERT INTO everything.runs (seq, status, run_state, version, attempt, created_at, "
            f"updated_at, {names}) SELECT range, 'NEW', 'INITIATED', 1, {attempt}, "
            f"TIMESTAMPTZ '{NOW}', TIMESTAMPTZ '{NOW}', {values} FROM range({rows})"
        )


def parcels(name: str = "parcels", **options: Any) -> Workflow[Any, Any]:
    """NEW → CHECKED or REFUSED, CHECKED → DONE or itself."""
    workflow: Workflow[Any, Any] = Workflow(name, Parcel, Status, **options)
    workflow.add_step(Status.NEW, _nothing, Status.CHECKED, Status.REFUSED)
    workflow.add_step(Status.CHECKED, _nothing, Status.DONE, Status.CHECKED)
    return workflow


def sql_parcels(
    *, values: dict[str, str] | None = None, status: str = "CHECKED", **options: Any
) -> Workflow[Any, Any]:
    """NEW → CHECKED or REFUSED by SQL, CHECKED → DONE."""
    workflow: Workflow[Any, Any] = Workflow("parcels", Parcel, Status)
    workflow.sql_step(
        Status.NEW, to=[Status.CHECKED, Status.REFUSED], set=values or {}, status=status, **options
    )
    workflow.add_step(Status.CHECKED, _nothing, Status.DONE)
    return workflow


def _nothing(run: Any) -> None:
    return None


def fetched(relation: Relation) -> list[tuple[Any, ...]]:
    """Return the rows through Arrow, which needs no library for points in time."""
    columns = [column.to_pylist() for column in relation.to_arrow_table().columns]
    return list(zip(*columns, strict=True))


class Bench:
    """A store with one workflow, and short ways to put runs in and to look at them."""

    def __init__(self, store: Store, workflow: Workflow[Any, Any]) -> None:
        self.store = store
        self.workflow = workflow
        self.questions = self.at(NOW)

    def at(self, now: dt.datetime) -> OpenStore:
        """The operations and questions at a moment."""
        return OpenStore(self.store, self.workflow, clock=FakeClock(now))

    def seed(self, rows: int, weight: str = "range", **columns: str) -> None:
        """Put runs in: seqs from 0, INITIATED at NEW, unless `columns` (SQL) says otherwise."""
        values = {
            "seq": "range",
            "foreign_id": "'f' || range",
            "status": "'NEW'",
            "run_state": "'INITIATED'",
            "version": "1",
            "attempt": "1",
            "created_at": f"TIMESTAMPTZ '{NOW}'",
            "updated_at": f"TIMESTAMPTZ '{NOW}'",
            "weight": weight,
            "label": "'none'",
        } | columns
        with self.store.connection.write() as cursor:
            cursor.execute(
                f"INSERT INTO {quote(self.workflow.name)}.runs ({', '.join(values)}) "
                f"SELECT {', '.join(values.values())} FROM range({rows})"
            )

    def run_id(self, seq: int) -> UUID:
        return UUID(int=self.store.run_id_base(self.workflow) + seq)

    def step(self, status: Status = Status.NEW) -> Step:
        return self.workflow.steps[self.workflow.code_of(status.name)]

    def rows(self, columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Return columns of the runs, in the order of their seqs."""
        return fetched(self.questions.runs(where).order("seq").select(columns))

    def transitions(self, columns: str) -> list[tuple[Any, ...]]:
        query = (
            f"SELECT {columns} FROM {quote(self.workflow.name)}.transitions ORDER BY seq, version"
        )
        return fetched(self.questions.sql(query))

    def errors(self, columns: str) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {quote(self.workflow.name)}.errors ORDER BY seq"
        return fetched(self.questions.sql(query))

    def claim(self, status: Status = Status.NEW, fields: tuple[str, ...] = ()) -> pa.Table:
        code = self.workflow.code_of(status)
        return self.store.claim(self.workflow, code, 0, 1 << 40, NOW, fields)

    def commit(self, *commits: StepCommit, now: dt.datetime = NOW) -> list[CommitResult]:
        return self.store.commit(commits, now)

    def execute(
        self, first_seq: int = 0, last_seq: int = 1 << 40, now: dt.datetime = LATER
    ) -> SqlStepResult:
        """Execute the SQL step at NEW."""
        random = np.random.default_rng(1)
        [result] = self.store.commit_sql_steps(
            self.workflow, [self.step()], (first_seq, last_seq), now, random
        )
        return result


_KEPT: list[tuple[Store, Workflow[Any, Any]]] = []


@contextmanager
def kept_bench() -> Iterator[Bench]:
    """Give a store in memory with the workflow of parcels: new, or the last one, empty."""
    if _KEPT:
        store, workflow = _KEPT.pop()
    else:
        workflow = parcels()
        store = Store.open(":memory:", [workflow], clock=lambda: NOW)
    try:
        yield Bench(store, workflow)
        store.claimed.clear()
        empty(store.connection)
    except BaseException:
        store.close()
        raise
    _KEPT.append((store, workflow))


def close_kept_bench() -> None:
    """Close the store that is kept."""
    while _KEPT:
        _KEPT.pop()[0].close()


def moved(
    bench: Bench, claimed: pa.Table, to: Status | list[Status], **changes: pa.Array
) -> StepCommit:
    """The result of a step that advances each of the claimed runs."""
    targets = [to] * claimed.num_rows if isinstance(to, Status) else to
    codes = [bench.workflow.code_of(status) for status in targets]
    table = claimed.select(["#seq", "#version", "#attempt", "#run_state"])
    table = table.append_column("#to", pa.array(codes, pa.uint8()))
    table = table.append_column("#outcome", pa.array([Outcome.ADVANCED] * len(codes), pa.uint8()))
    for name, values in changes.items():
        table = table.append_column(name.replace("set_", "#set:"), values)
    return StepCommit(bench.workflow, bench.step(), table, no_unmoved(), no_errors())


def failed(
    bench: Bench, claimed: pa.Table, state: RunState = RunState.RUNNING, reason: str | None = None
) -> StepCommit:
    """The result of a step that fails for each of the claimed runs."""
    rows = claimed.num_rows
    unmoved = claimed.select(["#seq", "#version", "#attempt"])
    added = {
        "#next_attempt": pa.array(np.asarray(claimed["#attempt"]) + 1, pa.int32()),
        "#outcome": pa.array([Outcome.FAILED] * rows, pa.uint8()),
        "#run_state": pa.array([state] * rows, pa.uint8()),
        "#next_attempt_at": pa.array(
            [LATER if state is RunState.RUNNING else None] * rows, pa.timestamp("us", "UTC")
        ),
        "#reason": pa.array([reason] * rows, pa.string()),
    }
    errors = {"#seq": claimed["#seq"], "#attempt": claimed["#attempt"]}
    for name in ("type", "message", "traceback", "fingerprint", "cause", "worker"):
        errors[name] = pa.array([f"a {name}"] * rows)
    errors |= {"chunk": pa.array([7] * rows), "seconds": pa.array([0.5] * rows)}
    for name, column in added.items():
        unmoved = unmoved.append_column(name, column)
    return StepCommit(bench.workflow, bench.step(), no_moved(), unmoved, pa.table(errors))


def no_moved() -> pa.Table:
    return pa.table({"#seq": pa.array([], pa.int64())})


no_unmoved = no_errors = no_moved

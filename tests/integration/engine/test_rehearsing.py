"""Rehearsals: steps are tried on copies of runs, and exactly what was shown can be stored."""

from __future__ import annotations

import enum
import gc
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    CHECKED = 2
    PAID = 3
    SENT = 4


@dataclass
class Order:
    number: int
    price: float
    total: float = 0.0
    paid_by: str | None = None


def orders(*, fixed: bool = False, side_effects: bool = False) -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage)

    @workflow.step(Stage.NEW, to=[Stage.CHECKED], retry=bf.Retry(pause_after=1))
    def check(run: bf.Run[Order, Stage]) -> Stage:
        if run.object.price < 0 and not fixed:
            raise ValueError(f"the price is {run.object.price}")
        run.object.total = abs(run.object.price) * 2
        return Stage.CHECKED

    @workflow.batch_step(Stage.CHECKED, to=[Stage.PAID], side_effects=side_effects)
    def pay(batch: bf.Batch[Order, Stage]) -> Stage:
        batch["paid_by"] = np.array([f"{each:x}" for each in batch["number"]])
        return Stage.PAID

    workflow.sql_step(Stage.PAID, to=[Stage.SENT], set={}, status=Stage.SENT)
    return workflow


def test_a_closed_engine_rehearses_nothing(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=1) as engine:
        pass
    with pytest.raises(bf.StoreClosedError):
        engine.rehearse("true")


LOG = "SELECT * FROM orders.transitions ORDER BY seq, version"
RUNS = "SELECT * FROM orders.runs ORDER BY seq"


def everything(engine: bf.Engine) -> list[list[tuple[Any, ...]]]:
    queries = (
        RUNS,
        LOG,
        "FROM orders.errors",
        "FROM batchflow.operations",
        "FROM batchflow.causes",
        "FROM batchflow.workflows",
    )
    return [engine.sql(query).fetchall() for query in queries]


def is_sound(engine: bf.Engine) -> bool:
    """Return whether each run's last transition is its state, and its versions have no gaps."""
    query = """
        SELECT count(*) FROM orders.runs AS r
        LEFT JOIN (
            SELECT seq, count(*) AS moves, count(DISTINCT version) AS versions,
                   max(version) AS last, arg_max(to_status, version) AS status,
                   arg_max(run_state, version) AS run_state
            FROM orders.transitions GROUP BY seq
        ) AS t USING (seq)
        WHERE coalesce(moves, 0) <> version - 1 OR versions <> moves OR last <> version
           OR t.status <> r.status OR t.run_state <> r.run_state"""
    return engine.sql(query).fetchall() == [(0,)]


@pytest.fixture(scope="module")
def forty_orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with forty orders, of which ten are paused and the others sent."""
    path = tmp_path_factory.mktemp("orders") / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        loaded = [Order(number, -1 - number if number < 10 else number) for number in range(40)]
        engine.trigger_many(loaded, foreign_id="number")
        engine.run(progress=False)
    return path


@pytest.fixture
def engine(path: Path, forty_orders: Path) -> Iterator[bf.Engine]:
    """Return an engine with a copy of that store."""
    shutil.copy(forty_orders, path)
    with bf.Engine(path, orders(), workers=0) as engine:
        yield engine


def test_a_fix_is_tried_on_copies_and_nothing_is_stored(engine: bf.Engine) -> None:
    before = everything(engine)

    with engine.rehearse("run_state = 'PAUSED'", workflow=orders(fixed=True)) as shown:
        assert (shown.runs, shown.same, shown.executed) == (10, 0, 30)
        [move] = shown.matrix
        assert (move.from_status, move.from_state) == ("NEW", "paused")
        assert (move.to_status, move.to_state, move.runs) == ("SENT", "completed", 10)
        assert {each.field: each.runs for each in shown.fields} == {"total": 10, "paid_by": 10}
        assert shown.fields[0].samples[1] == ("1", "0.0", "4.0")
        assert shown.failures == ()
        assert "NEW (paused) -> SENT (completed): 10 runs" in str(shown)
        assert "SENT (completed)" in shown._repr_html_()

    assert everything(engine) == before


def test_a_rehearsal_shows_what_still_fails_and_why(engine: bf.Engine) -> None:
    with engine.rehearse("number < 12", at=Stage.NEW) as shown:
        assert [(each.to_status, each.to_state, each.runs) for each in shown.matrix] == [
            ("NEW", "paused", 10),
            ("SENT", "completed", 2),
        ]
        [failure] = shown.failures
        assert failure.runs == 10
        assert failure.description.startswith("ValueError in check")


def test_new_code_is_compared_with_what_finished_runs_have(engine: bf.Engine) -> None:
    finished = "run_state = 'COMPLETED'"
    with engine.rehearse(finished, at="NEW", reset={"total": 7.0, "paid_by": None}) as shown:
        assert (shown.runs, shown.same, shown.fields) == (30, 30, ())

    changed = bf.Workflow("orders", Order, Stage)

    @changed.step(Stage.NEW, to=[Stage.SENT])
    def send(run: bf.Run[Order, Stage]) -> Stage:
        run.object.total = run.object.price * (3 if run.object.number == 20 else 2)
        return Stage.SENT

    with engine.rehearse(finished, at="NEW", workflow=changed) as shown:
        assert (shown.same, [each.samples for each in shown.fields]) == (
            29,
            [(("20", "40.0", "60.0"),)],
        )
        with pytest.raises(bf.EngineStateError, match="from NEW to SENT in the rehearsal"):
            shown.promote()


def test_what_was_shown_is_stored_for_runs_that_did_not_change(engine: bf.Engine) -> None:
    shown = engine.rehearse("run_state = 'PAUSED'", workflow=orders(fixed=True))
    engine.edit("number = 3", set={"total": "5"})
    others = engine.sql(f"SELECT * FROM ({RUNS}) WHERE number = 3 OR number > 9").fetchall()

    report = shown.promote("price was negative")

    assert (str(report), report.refusals) == (
        "9 runs promoted, 1 run refused (1 changed since)",
        {"changed since": 1},
    )
    assert engine.sql(f"SELECT * FROM ({RUNS}) WHERE number = 3 OR number > 9").fetchall() == others
    assert engine.get("4").object == Order(4, -5, total=10, paid_by="4")
    history = engine.history("4").select("outcome", "to_status", "reason").fetchall()
    assert history[1:] == [
        ("retried", "NEW", "price was negative"),
        ("advanced", "CHECKED", None),
        ("advanced", "PAID", None),
        ("advanced", "SENT", None),
    ]
    assert is_sound(engine)
    assert engine.funnel().filter("status = 'SENT'").select("here").fetchall() == [(39,)]
    with pytest.raises(bf.EngineStateError, match="promoted or closed"):
        shown.promote()


def test_runs_that_fail_in_a_rehearsal_are_stored_with_their_errors(engine: bf.Engine) -> None:
    engine.rehearse("number < 5").promote()

    assert engine.errors().select("count", "runs").fetchall() == [(15, 10)]
    assert engine.history("1").select("error_type").filter("error_type IS NOT NULL").fetchall() == [
        ("ValueError",),
        ("ValueError",),
    ]
    assert is_sound(engine)


def test_a_changed_workflow_may_have_another_enum_of_the_same_statuses(engine: bf.Engine) -> None:
    again = enum.Enum("Again", ["NEW", "CHECKED"])
    changed = bf.Workflow("orders", Order, again)
    changed.add_step(again["NEW"], lambda _: again["CHECKED"], again["CHECKED"])
    for at in (Stage.NEW, again["NEW"]):
        with engine.rehearse("number = 3", workflow=changed, at=at) as shown:
            assert [move.to_status for move in shown.matrix] == ["CHECKED"]


def test_runs_stay_at_a_status_and_continue_there(engine: bf.Engine) -> None:
    with engine.rehearse("number > 9", at=Stage.NEW, until=Stage.CHECKED) as shown:
        [move] = shown.matrix
        assert (move.to_status, move.to_state, move.runs) == ("CHECKED", "running", 30)
        shown.promote()

    assert is_sound(engine)
    assert engine.counts().filter("status = 'CHECKED'").fetchall() == [("CHECKED", "RUNNING", 30)]
    engine.run(progress=False)
    assert engine.counts().filter("status = 'SENT'").fetchall() == [("SENT", "COMPLETED", 30)]
    assert is_sound(engine)


def test_a_step_with_side_effects_needs_a_stand_in(engine: bf.Engine) -> None:
    changed = orders(fixed=True, side_effects=True)
    with pytest.raises(bf.InvalidOptionError, match="Step 'pay' has side effects"):
        engine.rehearse("number < 5", workflow=changed)
    with pytest.raises(bf.InvalidOptionError, match="stand-in for 'buy' is no step"):
        engine.rehearse("number < 5", stand_ins={"buy": print})

    engine.rehearse("number < 5", workflow=changed, until="CHECKED").close()

    def pay(batch: bf.Batch[Order, Stage]) -> Stage:
        batch["paid_by"] = np.full(len(batch), "nobody")
        return Stage.PAID

    with engine.rehearse("number < 5", workflow=changed, stand_ins={"pay": pay}) as shown:
        assert ("0", None, "nobody") in shown.fields[1].samples + shown.fields[0].samples
        with pytest.raises(bf.EngineStateError, match="stand-ins can't be promoted"):
            shown.promote()


def test_runs_that_break_an_invariant_that_only_the_store_has_are_not_promoted(path: Path) -> None:
    def checked() -> bf.Workflow[Order, Stage]:
        workflow = orders()
        workflow.invariant("low total", "status = 'NEW' OR total < 50")
        return workflow

    with bf.Engine(path, checked(), workers=0) as engine:
        engine.trigger_many([Order(n, -n, total=60) for n in range(10, 40)], foreign_id="number")
        engine.run(progress=False)

        shown = engine.rehearse("true", workflow=orders(fixed=True))
        assert shown.broken == {"low total": 15}
        assert "15 runs can't be promoted: they would break the invariant 'low total'" in str(shown)
        assert "&#x27;low total&#x27;" in shown._repr_html_()
        assert shown.promote().refusals == {"would break the invariant 'low total'": 15}

        assert engine.sql(
            "SELECT max(total) FROM orders.runs WHERE status = 'SENT'"
        ).fetchall() == [(48.0,)]
        assert is_sound(engine)
        # These were loaded so, and a failure changes none of their fields.
        with engine.rehearse("status = 'NEW'") as failed:
            assert failed.broken == {}
            assert failed.promote().changed == 15


@dataclass
class NotedOrder(Order):
    note: int | None = 0


def test_a_field_that_the_store_lacks_is_shown_and_not_promoted(engine: bf.Engine) -> None:
    changed = bf.Workflow("orders", NotedOrder, Stage)

    @changed.step(Stage.NEW, to=[Stage.CHECKED])
    def note(run: bf.Run[NotedOrder, Stage]) -> Stage:
        run.object.note = 7
        return Stage.CHECKED

    with engine.rehearse("number < 10", workflow=changed) as shown:
        [field] = shown.fields
        assert (field.field, field.runs, field.samples[0]) == ("note", 10, ("0", None, "7"))
        with pytest.raises(bf.EngineStateError, match="changed the field 'note'"):
            shown.promote()


class LaterStage(enum.Enum):
    NEW = 1
    SENT = 2
    LOST = 3
    FOUND = 4


def shipments(
    stages: type[enum.Enum], end: str, *, log: bool, fixed: bool = True
) -> bf.Workflow[Order, Any]:
    workflow = bf.Workflow("shipments", Order, stages, record_transitions=log)

    def ship(run: bf.Run[Order, Any]) -> enum.Enum:
        if not fixed:
            raise ValueError("no address")
        return stages[end]

    def search(run: bf.Run[Order, Any]) -> enum.Enum:
        raise ValueError("not there")

    retry = bf.Retry(pause_after=1)
    workflow.add_step(stages["NEW"], ship, stages[end], retry=retry)
    if stages is LaterStage:
        workflow.add_step(LaterStage.LOST, search, LaterStage.FOUND, retry=retry)
    return workflow


@pytest.fixture
def shipped(path: Path) -> Callable[..., bf.Engine]:
    """Return a function that opens an engine with a paused shipment."""

    def opened(*, log: bool) -> bf.Engine:
        engine = bf.Engine(path, shipments(Stage, "SENT", log=log, fixed=False), workers=0)
        engine.trigger("1", Order(1, 1))
        engine.run(progress=False)
        return engine

    return opened


@pytest.mark.parametrize(
    ("changed", "at", "message"),
    [
        (shipments(LaterStage, "SENT", log=False), "LOST", "at LOST after the rehearsal"),
        (shipments(Stage, "PAID", log=False), None, "may have gone from NEW to PAID"),
    ],
)
def test_what_only_a_changed_workflow_has_is_not_promoted_without_a_log_either(
    shipped: Callable[..., bf.Engine],
    changed: bf.Workflow[Order, Any],
    at: str | None,
    message: str,
) -> None:
    with shipped(log=False) as engine:
        shown = engine.rehearse("true", workflow=changed, at=at)
        with pytest.raises(bf.EngineStateError, match=message):
            shown.promote()


def test_a_rehearsal_has_a_log_if_the_store_has_one(shipped: Callable[..., bf.Engine]) -> None:
    with shipped(log=True) as engine:
        engine.rehearse("true", workflow=shipments(Stage, "SENT", log=False)).promote()
        assert engine.history("1").select("outcome").fetchall()[-1] == ("advanced",)
        assert engine.check().ok


def test_runs_that_end_at_until_without_a_step_are_finished(engine: bf.Engine) -> None:
    with engine.rehearse("number IN (20, 3)", until=Stage.SENT) as shown:
        assert [(each.to_status, each.to_state) for each in shown.matrix] == [
            ("NEW", "paused"),
            ("SENT", "completed"),
        ]


def test_until_is_a_status_that_the_copies_come_to(engine: bf.Engine) -> None:
    with engine.rehearse("number < 10", at="NEW", workflow=orders(fixed=True)) as shown:
        shown.promote()
    engine.retry("number < 2", at="CHECKED")
    engine.pause("number < 2")

    with pytest.raises(bf.InvalidOptionError, match="begin at CHECKED never come to NEW"):
        engine.rehearse("number < 2", until="NEW")
    for at, until in (("NEW", "NEW"), (None, "CHECKED")):
        with pytest.raises(bf.InvalidOptionError, match=f"with a step before {until}"):
            engine.rehearse("number IN (0, 30)", at=at, until=until)

    engine.retry("number = 2", at="NEW")
    fixed = orders(fixed=True)
    with engine.rehearse("number <= 2", workflow=fixed, until="CHECKED") as shown:
        moves = [(each.from_status, each.to_status, each.to_state) for each in shown.matrix]
        assert moves == [("NEW", "CHECKED", "running"), ("CHECKED", "CHECKED", "paused")]
        assert (shown.same, shown.refused) == (2, {})


def test_the_log_says_that_runs_are_copies(
    engine: bf.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    limited = orders(fixed=True)
    limited.invariant("low total", "total < 10")

    with (
        caplog.at_level(logging.INFO, "batchflow"),
        engine.rehearse("number < 10", workflow=limited),
    ):
        messages = [each.getMessage() for each in caplog.records]

    assert any("would break an invariant" in message for message in messages)
    for message in messages:
        assert message.startswith("Workflow orders (copies of a rehearsal): ")


def test_copies_have_the_ids_of_their_runs(engine: bf.Engine) -> None:
    named = bf.Workflow("orders", Order, Stage)

    @named.step(Stage.NEW, to=[Stage.SENT])
    def name(run: bf.Run[Order, Stage]) -> Stage:
        run.object.paid_by = f"{run.foreign_id} {run.run_id}"
        return Stage.SENT

    with engine.rehearse("number = 3", workflow=named) as shown:
        [(_, _, written)] = shown.fields[0].samples

    assert written == f"3 {engine.get('3').run_id}"


def test_a_finished_run_is_not_woken_beside_another_of_its_id(engine: bf.Engine) -> None:
    shown = engine.rehearse("number IN (20, 21)", at="NEW", until="CHECKED")
    engine.trigger("20", replace(Order(20, 1), total=1))

    assert shown.promote().refusals == {"whose foreign id has another run": 1}
    assert is_sound(engine)


def test_copies_are_removed_when_nothing_refers_to_them(
    engine: bf.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shown = engine.rehearse("number = 3")
    assert len(list(tmp_path.glob("batchflow-rehearsal-*"))) == 1

    del shown
    gc.collect()

    assert list(tmp_path.glob("batchflow-rehearsal-*")) == []


def test_copies_that_a_killed_process_left_are_removed(
    engine: bf.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "batchflow-rehearsal-left"
    left.mkdir()

    with engine.rehearse("number = 3"), engine.rehearse("number = 4"):
        assert len(list(tmp_path.glob("batchflow-rehearsal-*"))) == 2

    assert not left.exists()


def test_nothing_is_rehearsed_without_runs(engine: bf.Engine) -> None:
    with pytest.raises(bf.InvalidOptionError, match="chooses none of the runs"):
        engine.rehearse("number = 99")
    with pytest.raises(bf.QueryError, match="nmber"):
        engine.rehearse("nmber = 1")
    with pytest.raises(bf.InvalidOptionError, match='such as where="true" for all'):
        engine.rehearse(None)  # type: ignore[arg-type]
    with pytest.raises(bf.InvalidOptionError, match="reset has a value of type list"):
        engine.rehearse("true", reset={"total": [1]})

"""Failures are listed by cause, with the runs that failed so and those that still stand there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.testing import FakeClock, inline_engine
from kit.things import Stage


@dataclass
class Card:
    network: str = "visa"


@dataclass
class Payment:
    number: int
    country: str = "DE"
    kind: str = ""
    card: Card = field(default_factory=Card)


class NoAnswerError(Exception):
    pass


def ask(number: int) -> None:
    try:
        raise TimeoutError(f"timed out after {number} s")
    except TimeoutError as error:
        raise NoAnswerError(f"provider did not answer for {number}") from error


def charge(run: bf.Run[Payment, Stage]) -> Stage | None:
    payment = run.object
    if payment.kind == "late":
        ask(payment.number)
    if payment.kind in ("no card", "no funds"):
        raise ValueError(f"payment {payment.number}: {payment.kind.replace(' ', '-')} at all")
    if payment.kind == "once" and run.attempt == 1:
        raise ValueError(f"payment {payment.number}: try-again please")
    return None if payment.kind == "nothing" else Stage.DONE


KINDS = {"late": 40, "no card": 30, "no funds": 20, "once": 10, "nothing": 5, "": 95}


def payments() -> bf.Workflow[Payment, Stage]:
    retry = bf.Retry(backoff_seconds=60, pause_after=3)
    workflow = bf.Workflow("payments", Payment, Stage, retry=retry)
    workflow.add_step(Stage.NEW, charge, Stage.DONE)
    return workflow


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    clock = FakeClock()
    with inline_engine(payments(), clock=clock) as engine:
        kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
        engine.trigger_many(
            [
                Payment(number, "BR" if number % 2 else "DE", kind)
                for number, kind in enumerate(kinds)
            ],
            foreign_id="number",
        )
        engine.run()
        clock.advance(3_600)
        engine.run()
        yield engine


def test_each_cause_has_its_failures_and_the_runs_that_still_stand_there(
    engine: bf.Engine,
) -> None:
    found = engine.errors().order("runs DESC")
    shown = found.select(
        "regexp_replace(description, ':\\d+', '', 'g')", "count", "runs", "affected"
    )
    here = Path(__file__).name
    late = f"NoAnswerError in ask, {here}: provider did not answer for #"
    nothing = (
        "Step '#' answered with None: it returned nothing; allowed are DONE, and run.repeat(...), "
        "run.skip(...), run.pause(...), run.cancel(...)."
    )
    assert shown.fetchall() == [
        (f"{late}; from TimeoutError in ask, {here}: timed out after # s", 80, 40, 40),
        (f"ValueError in charge, {here}: payment #: no-card at all", 60, 30, 30),
        (f"ValueError in charge, {here}: payment #: no-funds at all", 40, 20, 20),
        (f"ValueError in charge, {here}: payment #: try-again please", 10, 10, 0),
        (f"InvalidOutcome in charge, {here}: {nothing}",
         10, 5, 5),
    ]  # fmt: skip
    shares = [share for (share,) in found.select("share").fetchall()]
    assert shares == pytest.approx([40 / 105, 30 / 105, 20 / 105, 10 / 105, 5 / 105])


def test_one_gets_from_a_cause_to_its_runs_and_to_each_failure(engine: bf.Engine) -> None:
    [(cause, run_id)] = engine.errors().limit(1).select("cause", "run_id").fetchall()
    runs = engine.errors(cause).runs()
    assert set(runs.select("kind", "attempt").fetchall()) == {("late", 3)}
    assert len(runs) == len(engine.errors(cause).runs(affected=True)) == 40
    each = engine.errors(cause).all()
    assert len(each) == 80
    assert len(each.filter("traceback LIKE '%direct cause%' AND chunk >= 0 AND seconds > 0")) == 80
    workers = {worker for (worker,) in each.select("worker").fetchall()}
    assert workers == {f"{socket.gethostname()}:{os.getpid()}"}
    assert engine.get(run_id).object.kind == "late"
    with pytest.raises(bf.InvalidOptionError, match="has the cause 'nothing'; give one"):
        engine.errors("nothing")


def test_runs_that_were_resumed_are_no_longer_affected(engine: bf.Engine) -> None:
    engine.trigger("late again", Payment(1, kind="late"))
    engine.run()
    [(cause,)] = engine.errors(where="kind = 'late'").select("cause").fetchall()
    assert engine.errors(cause).select("runs", "affected").fetchall() == [(41, 41)]
    engine.pause("kind = 'late'", reason="wait")
    engine.resume("kind = 'late'")
    assert engine.errors(cause).select("runs", "affected").fetchall() == [(41, 0)]
    assert len(engine.errors(cause).runs(affected=True)) == 0


def test_failures_are_chosen_and_grouped(engine: bf.Engine) -> None:
    by_country = engine.errors(where="kind = ?", params=["no card"], by="country")
    rows = by_country.select("country", "runs", "steps", "count").fetchall()
    assert sorted(rows) == [("BR", 15, ["charge"], 30), ("DE", 15, ["charge"], 30)]
    german = by_country.filter("country = ?", ["DE"])
    assert set(german.runs().select("country", "kind").fetchall()) == {("DE", "no card")}
    assert len(german.all()) == 30
    of_network = engine.errors(by="card.network").filter("\"card.network\" = 'visa'")
    assert sorted(of_network.select("runs").fetchall()) == [(5,), (10,), (20,), (30,), (40,)]
    assert set(of_network.runs().select("card.network").fetchall()) == {("visa",)}
    retried = engine.errors(by=["attempt"]).filter("attempt = 2")
    assert retried.select("sum(runs)").fetchall() == [(95,)]
    recent = engine.errors(since=timedelta(days=36_500))
    assert len(recent) == 5
    assert len(engine.errors(until=timedelta(days=36_500))) == 0


def test_a_column_that_there_is_not_is_named_with_the_nearest(engine: bf.Engine) -> None:
    with pytest.raises(bf.errors.InvalidOptionError, match="Did you mean 'country'"):
        engine.errors(by="contry")
    with pytest.raises(bf.errors.InvalidOptionError, match=r"Did you mean 'card\.network'"):
        engine.errors(by="card.netwrk")
    with pytest.raises(bf.errors.QueryError, match="have the columns"):
        engine.errors(where="contry = 'DE'").fetchall()


def test_causes_are_kept_in_the_file_and_stay_the_same(tmp_path: Path) -> None:
    path, found = tmp_path / "store.duckdb", []
    for number in range(2):
        with bf.Engine(path, payments(), workers=number) as engine:
            engine.trigger(f"late-{number}", Payment(number, kind="late"))
            engine.run(progress=False)
        with bf.connect(path) as store:
            found.append(store.errors().select("cause", "runs").fetchall())
            causes = "SELECT cause, function, source, len(chain) FROM batchflow.causes"
            [(cause, *stored)] = store.sql(causes).fetchall()
            assert stored == [
                "ask",
                'raise NoAnswerError(f"provider did not answer for {number}") from error',
                1,
            ]
    assert found == [[(cause, 1)], [(cause, 2)]]

"""A coordinator in the background, while the same process triggers, waits and asks."""

from __future__ import annotations

import enum
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from kit.things import Thing


class Stage(enum.Enum):
    NEW = "new"
    READY = "ready"
    DONE = "done"
    WRONG = "wrong"


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[bf.Engine]:
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))

    @workflow.step(Stage.NEW, to=[Stage.READY, Stage.WRONG])
    def first(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.number < 0:
            raise ValueError("below zero")
        run.object.number += 1
        return Stage.READY if run.object.number < 100 else Stage.WRONG

    @workflow.step(Stage.READY, to=Stage.DONE)
    def second(run: bf.Run[Thing, Stage]) -> Stage:
        run.object.number *= 2
        return Stage.DONE

    workers = getattr(request, "param", 0)
    with bf.Engine(tmp_path / "things.duckdb", workflow, workers=workers) as opened:
        yield opened


def test_a_run_is_waited_for_until_it_is_there(engine: bf.Engine) -> None:
    engine.start()
    run = engine.wait(engine.trigger("a", Thing(1)), Stage.DONE, timeout_seconds=30)

    assert run.object == Thing(4)
    assert run.status is Stage.DONE


def test_a_status_that_was_passed_counts_as_reached(engine: bf.Engine) -> None:
    engine.start()
    run_id = engine.trigger("a", Thing(1))
    engine.wait(run_id, Stage.DONE, timeout_seconds=30)

    assert engine.wait(run_id, Stage.READY, timeout_seconds=0).status is Stage.DONE
    assert engine.wait(run_id, Stage.NEW, timeout_seconds=0).status is Stage.DONE


def test_waiting_ends_at_once_where_the_run_finished_elsewhere(engine: bf.Engine) -> None:
    engine.start()
    with pytest.raises(bf.RunUnreachableError, match="WRONG") as caught:
        engine.wait(engine.trigger("a", Thing(100)), Stage.DONE, timeout_seconds=30)

    assert caught.value.run_state == "COMPLETED"


def test_waiting_ends_at_once_where_the_run_is_paused_and_says_why(engine: bf.Engine) -> None:
    engine.start()
    with pytest.raises(bf.RunUnreachableError, match="ValueError") as caught:
        engine.wait(engine.trigger("a", Thing(-1)), Stage.DONE, timeout_seconds=30)

    assert caught.value.run_state == "PAUSED"


def test_one_of_several_statuses_is_enough(engine: bf.Engine) -> None:
    engine.start()
    run_id = engine.trigger("a", Thing(100))
    run = engine.wait(run_id, [Stage.DONE, "WRONG"], timeout_seconds=30)
    assert run.status is Stage.WRONG
    with pytest.raises(bf.RunUnreachableError, match="can't reach DONE or READY any more"):
        engine.wait(engine.trigger("b", Thing(-1)), (Stage.DONE, Stage.READY), timeout_seconds=30)
    with pytest.raises(bf.InvalidOptionError, match=r"status is \[\]; give a status"):
        engine.wait(run_id, [])


def test_the_end_of_a_run_can_be_awaited(engine: bf.Engine) -> None:
    lost, good = engine.trigger("lost", Thing(1)), engine.trigger("good", Thing(1))
    engine.cancel(run_ids=[lost])
    assert engine.wait(lost, timeout_seconds=0).run_state is bf.RunState.CANCELLED
    with pytest.raises(TimeoutError, match="didn't finish in time"):
        engine.wait(good, timeout_seconds=0)
    engine.start()
    assert engine.wait(good, timeout_seconds=30).run_state is bf.RunState.COMPLETED
    with pytest.raises(bf.RunUnreachableError, match=r"can't finish any more: .* resume it first"):
        engine.wait(engine.trigger("bad", Thing(-1)), timeout_seconds=30)


def test_waiting_has_an_end(engine: bf.Engine) -> None:
    with pytest.raises(TimeoutError, match="NEW"):
        engine.wait(engine.trigger("a", Thing(1)), Stage.DONE, timeout_seconds=0.05)


def test_ctrl_c_ends_a_wait_whichever_thread_receives_it(engine: bf.Engine) -> None:
    run_id = engine.trigger("a", Thing(1))

    def press() -> None:
        # As the operating system may do; only the main thread handles it.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    pressing = threading.Timer(0.1, press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        engine.wait(run_id, Stage.DONE, timeout_seconds=60)
    pressing.join()


def test_a_cancellation_ends_a_wait_for_the_run(engine: bf.Engine) -> None:
    run_id = engine.trigger("a", Thing(1))
    caught: list[Any] = []

    def wait() -> None:
        with pytest.raises(bf.RunUnreachableError) as error:
            engine.wait(run_id, Stage.DONE, timeout_seconds=30)
        caught.append(error.value)

    waiter = threading.Thread(target=wait)
    waiter.start()
    engine.cancel(run_ids=[run_id], reason="not wanted")
    waiter.join()

    assert caught[0].reason == "not wanted"


def test_a_resumed_run_goes_on(engine: bf.Engine) -> None:
    run_id = engine.trigger("a", Thing(1))
    engine.pause(run_ids=[run_id])
    engine.start()
    engine.resume(run_ids=[run_id])

    assert engine.wait(run_id, Stage.DONE, timeout_seconds=30).run_state is bf.RunState.COMPLETED


@pytest.mark.parametrize("engine", [0, 1], indirect=True, ids=["inline", "pool"])
def test_many_threads_trigger_wait_and_ask_at_once(engine: bf.Engine) -> None:
    engine.start()
    failures: list[BaseException] = []

    def use(name: str) -> None:
        try:
            for number in range(10):
                run_id = engine.trigger(f"{name}{number}", Thing(number))
                engine.wait(run_id, Stage.DONE, timeout_seconds=30)
                assert engine.sql("SELECT count(*) FROM things.runs").fetchall()[0][0] > 0
        except BaseException as error:
            failures.append(error)

    users = [threading.Thread(target=use, args=(name,)) for name in "abcd"]
    for user in users:
        user.start()
    for user in users:
        user.join()

    assert failures == []
    assert engine.counts().fetchall() == [("DONE", "COMPLETED", 40)]


def test_two_coordinators_of_one_engine_are_refused(engine: bf.Engine) -> None:
    engine.start()
    with pytest.raises(bf.EngineStateError, match="running already"):
        engine.run()
    with pytest.raises(bf.EngineStateError, match="stop"):
        engine.start()
    engine.stop()

    assert engine.run().runs == 0


def test_stopping_twice_is_harmless(engine: bf.Engine) -> None:
    engine.start()
    engine.stop()
    engine.stop()


def test_a_member_of_another_enum_is_not_awaited(engine: bf.Engine) -> None:
    class Level(enum.Enum):
        DONE = "done"

    run_id = engine.trigger("a", Thing(1))
    with pytest.raises(bf.DefinitionError, match=r"Level\.DONE.* is not a status of Stage"):
        engine.wait(run_id, Level.DONE, timeout_seconds=0)  # type: ignore[arg-type]
    with pytest.raises(bf.DefinitionError, match=r"Level\.DONE.* is not a status of Stage"):
        engine.trigger("b", Thing(1), at=Level.DONE)

"""No message, log or report shows an object's values, unless that is asked for."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchflow as bf
from batchflow.errors import BatchflowError
from kit.things import Stage

SECRET = "hunter2-of-john@example.org"


@dataclass
class Person:
    email: str
    age: int = 1
    note: str | None = None


class OwnError(Exception):
    """What a step of the user's raises."""


class Closing:
    def close(self) -> None:
        raise OSError(SECRET)


def leaves_a_text_for_a_number(run: bf.Run[Person, Stage]) -> Stage:
    run.object.age = run.object.email  # type: ignore[assignment]
    return Stage.DONE


def leaves_another_object(run: bf.Run[Person, Stage]) -> Stage:
    run.object = run.object.email  # type: ignore[assignment]
    return Stage.DONE


def answers_with_a_value(run: bf.Run[Person, Stage]) -> Stage:
    return run.object.email  # type: ignore[return-value]


def answers_with_an_object(run: bf.Run[Person, Stage]) -> Stage:
    return run.object  # type: ignore[return-value]


def raises_its_own(run: bf.Run[Person, Stage]) -> Stage:
    raise OwnError(f"no card of {run.object.email}")


def raises_a_key_error(run: bf.Run[Person, Stage]) -> Stage:
    return {}[run.object.email]  # type: ignore[no-any-return]


def pauses_with_an_object(run: bf.Run[Person, Stage]) -> Any:
    return run.pause(run.object)  # type: ignore[arg-type]


def leaves_texts_for_numbers(batch: bf.Batch[Person, Stage]) -> Any:
    batch["age"] = batch["email"]
    return [Stage.DONE] * len(batch)


def answers_with_values(batch: bf.Batch[Person, Stage]) -> Any:
    return batch["email"]


def answers_with_too_many(batch: bf.Batch[Person, Stage]) -> Any:
    return [*batch["email"], SECRET]


def masks_with_values(batch: bf.Batch[Person, Stage]) -> Any:
    batch.skip(batch["email"])
    return [Stage.DONE] * len(batch)


ROW_STEPS: list[Callable[..., Any]] = [
    leaves_a_text_for_a_number,
    leaves_another_object,
    answers_with_a_value,
    answers_with_an_object,
    pauses_with_an_object,
]
BATCH_STEPS: list[Callable[..., Any]] = [
    leaves_texts_for_numbers,
    answers_with_values,
    answers_with_too_many,
    masks_with_values,
]
OWN_ERRORS: list[Callable[..., Any]] = [raises_its_own, raises_a_key_error]
SQL_STEPS: dict[str, dict[str, Any]] = {
    "a text for a number": {"set": {"age": "CAST(email AS INTEGER)"}},
    "a text for a number, volatile": {
        "set": {"age": "CAST(email || (random() * 0)::INTEGER AS INTEGER)"}
    },
    "a text for a moment": {"set": {"age": "year(strptime(email, '%Y'))::INTEGER"}},
    "a text for JSON": {"set": {"note": "json_extract(email, '$.a')"}},
    "a text for a status": {"status": "email"},
    "a pattern": {"set": {"age": "regexp_matches('a', '(' || email)::INTEGER"}},
    "a number that is too large": {"set": {"age": "(age + 9223372036854775807)::INTEGER"}},
}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that was logged, as a handler writes it."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(
        logging.Formatter().format(record) + str(vars(record)) for record in caplog.records
    )


def workflow_of(step: Callable[..., Any] | None = None, **sql: Any) -> bf.Workflow[Any, Any]:
    flow: bf.Workflow[Any, Any] = bf.Workflow("people", Person, Stage)
    if step in BATCH_STEPS:
        flow.batch_step(Stage.NEW, to=Stage.DONE)(step)
    elif step is not None:
        flow.step(Stage.NEW, to=Stage.DONE)(step)
    else:
        flow.sql_step(Stage.NEW, to=[Stage.DONE], **({"set": {}, "status": "DONE"} | sql))
    return flow


def told_by_a_drain(
    flow: bf.Workflow[Any, Any], folder: Path, *, workers: int = 0, log_values: bool = False
) -> tuple[str, str]:
    """Drain one run, and return what is stored of its failure, and what is said of it."""
    config = bf.EngineConfig(log_values=log_values)
    with bf.Engine(folder / "people.duckdb", flow, workers=workers, config=config) as engine:
        run_id = engine.trigger("p1", Person(SECRET))
        report = engine.run(progress=False)
        stored = engine.sql("SELECT type, message, traceback FROM people.errors").fetchall()
        said = f"{report} {report._repr_html_()} {report.as_dict()} {engine.get(run_id)}"
        assert stored, "it hasn't failed"
        assert SECRET in engine.get(run_id).object.email
    return str(stored), said


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("step", [*ROW_STEPS, *BATCH_STEPS])
def test_what_we_say_of_a_step_shows_no_value(
    step: Callable[..., Any], workers: int, tmp_path: Path, logged: Callable[[], str]
) -> None:
    stored, said = told_by_a_drain(workflow_of(step), tmp_path, workers=workers)

    assert "hunter2" not in stored + said + logged()


@pytest.mark.parametrize("kind", SQL_STEPS)
def test_what_we_say_of_a_step_in_sql_shows_no_value(
    kind: str, tmp_path: Path, logged: Callable[[], str]
) -> None:
    stored, said = told_by_a_drain(workflow_of(**SQL_STEPS[kind]), tmp_path)

    assert "hunter2" not in stored + said + logged()
    assert "9223372036854775807 " not in said


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("step", OWN_ERRORS)
def test_what_a_step_says_itself_is_stored_and_said_nowhere_else(
    step: Callable[..., Any], workers: int, tmp_path: Path, logged: Callable[[], str]
) -> None:
    stored, said = told_by_a_drain(workflow_of(step), tmp_path, workers=workers)

    assert SECRET in stored
    assert "hunter2" not in said + logged()


def test_what_a_step_in_sql_says_itself_is_stored(tmp_path: Path) -> None:
    flow = workflow_of(set={"age": "error('no card of ' || email)"})

    stored, said = told_by_a_drain(flow, tmp_path)

    assert f"no card of {SECRET}" in stored
    assert "hunter2" not in said


@pytest.mark.parametrize("workers", [0, 1])
def test_values_are_shown_where_that_is_asked_for(workers: int, tmp_path: Path) -> None:
    flow = workflow_of(leaves_a_text_for_a_number)

    stored, said = told_by_a_drain(flow, tmp_path, workers=workers, log_values=True)

    assert f"left a str ('{SECRET}') in field 'age'" in said
    assert SECRET in stored


def test_values_of_steps_in_sql_are_shown_where_that_is_asked_for(tmp_path: Path) -> None:
    flow = workflow_of(set={"age": "CAST(email AS INTEGER)"})

    _, said = told_by_a_drain(flow, tmp_path, log_values=True)

    assert "Could not convert string" in said
    assert SECRET in said


def test_a_value_that_is_shown_is_cut_short(tmp_path: Path) -> None:
    @dataclass
    class Long:
        age: int

    def leaves(run: bf.Run[Long, Stage]) -> Stage:
        run.object.age = "x" * 1_000_000  # type: ignore[assignment]
        return Stage.DONE

    flow: bf.Workflow[Any, Any] = bf.Workflow("longs", Long, Stage)
    flow.step(Stage.NEW, to=Stage.DONE)(leaves)
    with bf.Engine(":memory:", flow, workers=0, config=bf.EngineConfig(log_values=True)) as engine:
        engine.trigger("a", Long(1))
        engine.run(progress=False)
        [(message,)] = engine.sql("SELECT message FROM longs.errors").fetchall()

    assert "xxxx" in message
    assert len(message) < 400


# Putting runs in, and asking for them.


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(tmp_path / "people.duckdb", workflow_of(), workers=0) as opened:
        yield opened


@pytest.fixture
def showing(tmp_path: Path) -> Iterator[bf.Engine]:
    config = bf.EngineConfig(log_values=True)
    with bf.Engine(tmp_path / "shown.duckdb", workflow_of(), workers=0, config=config) as opened:
        yield opened


def csv(folder: Path) -> Any:
    (folder / "a.csv").write_text(f"email,age\na,1\nb,{SECRET}\n")
    return folder / "a.csv"


def ragged_csv(folder: Path) -> Any:
    (folder / "a.csv").write_text(f"email,age\na,1\n{SECRET},2,3\n")
    return folder / "a.csv"


def json(folder: Path) -> Any:
    (folder / "a.json").write_text(f'{{"email": "a", "age": "{SECRET}"}}\n')
    return folder / "a.json"


def broken_json(folder: Path) -> Any:
    (folder / "a.json").write_text(f'{{"email": "a"}}\n{{"email": {SECRET}\n')
    return folder / "a.json"


def parquet(folder: Path) -> Any:
    pq.write_table(pa.table({"email": ["a"], "age": [SECRET]}), folder / "a.parquet")
    return folder / "a.parquet"


def failing_reader(_: Path) -> Any:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"email": ["a"], "age": [1]})
        yield pa.RecordBatch.from_arrays(
            [pa.array(["b"]), pa.array([SECRET]).cast(pa.int64())], ["email", "age"]
        )

    schema = pa.schema({"email": pa.string(), "age": pa.int64()})
    return pa.RecordBatchReader.from_batches(schema, batches())


SOURCES: dict[str, Callable[[Path], Any]] = {
    "csv": csv,
    "ragged csv": ragged_csv,
    "json": json,
    "broken json": broken_json,
    "parquet": parquet,
    "table": lambda _: pa.table({"email": ["a"], "age": [SECRET]}),
    "mixed column of pandas": lambda _: pd.DataFrame({"email": ["a", "b"], "age": [1, SECRET]}),
    "reader that fails": failing_reader,
    "objects": lambda _: [Person("a", SECRET)],  # type: ignore[arg-type]
    "something else than objects": lambda _: [Person("a"), SECRET],
    "sql": lambda _: f"SELECT 'a' AS email, CAST(x AS INT) AS age FROM (VALUES ('{SECRET}')) t(x)",
    "sql over a file": lambda f: (
        f"SELECT email, age::INT AS age FROM read_csv('{csv(f)}', all_varchar = true)"
    ),
    "sql over a file, in itself": lambda f: f"SELECT 'a' AS email, age FROM '{csv(f)}'",
}


def refused(call: Callable[[], Any]) -> str:
    """Return all that Python prints of the refusal."""
    with pytest.raises(BatchflowError) as caught:
        call()
    error = caught.value
    frames = traceback.TracebackException.from_exception(error)
    causes = [str(frames)]
    while frames.__cause__ or (frames.__context__ and not frames.__suppress_context__):
        frames = frames.__cause__ or frames.__context__  # type: ignore[assignment]
        causes.append(str(frames))
    return f"{error!r} {error} {vars(error)} {causes}"


@pytest.mark.parametrize("kind", SOURCES)
def test_the_refusal_of_a_source_shows_no_value(
    kind: str, engine: bf.Engine, tmp_path: Path, logged: Callable[[], str]
) -> None:
    source = SOURCES[kind](tmp_path)

    told = refused(lambda: engine.trigger_many(source, foreign_id="email"))

    assert "hunter2" not in told + logged()


def test_rows_left_out_are_named_without_their_values(engine: bf.Engine, tmp_path: Path) -> None:
    report = engine.trigger_many(csv(tmp_path), foreign_id="email", on_invalid="skip")

    assert "(row 2: 'b')" in str(report)
    assert "hunter2" not in f"{report!r} {report}"


def test_a_refused_object_shows_no_value(engine: bf.Engine) -> None:
    told = refused(lambda: engine.trigger("p1", Person("a", SECRET)))  # type: ignore[arg-type]
    assert "field 'age' is a str instead of int" in told
    assert "hunter2" not in told

    assert "hunter2" not in refused(lambda: engine.trigger("p1", SECRET))
    assert "hunter2" not in refused(lambda: bf.Engine(":memory:", Person(SECRET)))  # type: ignore[arg-type]


def test_a_predicate_that_fails_shows_no_value(engine: bf.Engine) -> None:
    engine.trigger("p1", Person(SECRET))

    told = refused(lambda: engine.cancel("CAST(email AS INTEGER) > 3"))

    assert "can't be converted to INT32" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("kind", ["csv", "parquet", "table", "sql over a file, in itself"])
def test_a_refused_source_shows_values_where_that_is_asked_for(
    kind: str, showing: bf.Engine, tmp_path: Path
) -> None:
    source = SOURCES[kind](tmp_path)

    assert SECRET in refused(lambda: showing.trigger_many(source, foreign_id="email"))


def test_a_refused_object_shows_values_where_that_is_asked_for(showing: bf.Engine) -> None:
    told = refused(lambda: showing.trigger("p1", Person("a", SECRET)))  # type: ignore[arg-type]

    assert f"field 'age' is a str ('{SECRET}') instead of int" in told


def test_what_a_resource_says_when_it_closes_is_not_logged(
    tmp_path: Path, logged: Callable[[], str]
) -> None:
    flow: bf.Workflow[Any, Any] = bf.Workflow("people", Person, Stage, resources={"db": Closing})
    flow.step(Stage.NEW, to=Stage.DONE)(lambda run: Stage.DONE)
    with bf.Engine(tmp_path / "people.duckdb", flow, workers=0) as engine:
        engine.trigger("p1", Person("a"))
        engine.run(progress=False)

    assert "A resource didn't close: OSError" in logged()
    assert "hunter2" not in logged()


def test_what_ends_a_coordinator_in_the_background_is_logged_by_its_type(
    tmp_path: Path, logged: Callable[[], str]
) -> None:
    def refuse() -> None:
        raise OwnError(SECRET)

    flow: bf.Workflow[Any, Any] = bf.Workflow("people", Person, Stage, resources={"db": refuse})
    flow.step(Stage.NEW, to=Stage.DONE)(lambda run: Stage.DONE)
    with bf.Engine(tmp_path / "people.duckdb", flow, workers=0) as engine:
        engine.start()
        run_id = engine.trigger("p1", Person("a"))
        with pytest.raises(bf.errors.ResourceError):
            engine.wait(run_id, Stage.DONE, timeout_seconds=30)
        with pytest.raises(bf.errors.ResourceError):
            engine.stop()

    assert "the coordinator ended: ResourceError" in logged()
    assert "hunter2" not in logged()

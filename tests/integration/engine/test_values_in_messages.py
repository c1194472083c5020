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
from secrets_kit import (
    BATCH_STEPS,
    OWN_ERRORS,
    ROW_STEPS,
    SECRET,
    OwnError,
    Person,
    leaves_a_text_for_a_number,
    people,
)

import batchflow as bf
from batchflow.errors import BatchflowError
from kit.things import Stage

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


class Closing:
    def close(self) -> None:
        raise OSError(SECRET)


Drain = tuple[dict[str, tuple[str, str]], str]


def written(records: list[logging.LogRecord]) -> str:
    """Return everything that was logged, as a handler writes it."""
    return "\n".join(logging.Formatter().format(record) + str(vars(record)) for record in records)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.DEBUG)
    return lambda: written(caplog.records)


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def drained(engine: bf.Engine, *names: str) -> dict[str, tuple[str, str]]:
    """Drain a run of each workflow; return what is stored of its failure, and what is shown."""
    ids = {name: engine.trigger("p1", Person(SECRET), workflow=name) for name in names}
    report = engine.run(progress=False)
    found = {}
    for name, run_id in ids.items():
        stored = engine.sql(f"SELECT type, message, traceback FROM {name}.errors").fetchall()
        assert stored, "it hasn't failed"
        assert SECRET in engine.get(run_id).object.email
        shown = f"{report} {report._repr_html_()} {report.as_dict()} {engine.get(run_id)}"
        found[name] = (str(stored), shown)
    return found


@pytest.fixture(scope="module", params=[0, 1], ids=["inline", "pool"])
def drain(request: pytest.FixtureRequest) -> Drain:
    """Drain a run through each of the steps; return what was found and what was logged."""
    steps = {step.__name__: step for step in [*ROW_STEPS, *BATCH_STEPS, *OWN_ERRORS]}
    workflows = [people(step, name) for name, step in steps.items()]
    logger, kept = logging.getLogger(), Kept()
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    try:
        with bf.Engine(":memory:", *workflows, workers=request.param) as engine:
            found = drained(engine, *steps)
    finally:
        logger.setLevel(level)
        logger.removeHandler(kept)
    return found, written(kept.records)


def drained_alone(workflow: bf.Workflow[Any, Any], **options: Any) -> tuple[str, str]:
    with bf.Engine(":memory:", workflow, workers=0, **options) as engine:
        return drained(engine, "people")["people"]


@pytest.mark.parametrize("step", [*ROW_STEPS, *BATCH_STEPS])
def test_what_we_say_of_a_step_shows_no_value(step: Callable[..., Any], drain: Drain) -> None:
    found, logged = drain
    stored, shown = found[step.__name__]

    assert "hunter2" not in stored + shown + logged


@pytest.mark.parametrize("kind", SQL_STEPS)
def test_what_we_say_of_a_step_in_sql_shows_no_value(kind: str, logged: Callable[[], str]) -> None:
    stored, shown = drained_alone(people(**SQL_STEPS[kind]))

    assert "hunter2" not in stored + shown + logged()
    assert "9223372036854775807 " not in shown


@pytest.mark.parametrize("step", OWN_ERRORS)
def test_what_a_step_says_itself_is_stored_and_said_nowhere_else(
    step: Callable[..., Any], drain: Drain
) -> None:
    found, logged = drain
    stored, shown = found[step.__name__]

    assert SECRET in stored
    assert "hunter2" not in shown + logged


def test_what_a_step_in_sql_says_itself_is_stored() -> None:
    stored, shown = drained_alone(people(set={"age": "error('no card of ' || email)"}))

    assert f"no card of {SECRET}" in stored
    assert "hunter2" not in shown


@pytest.mark.parametrize("workers", [0, 1])
def test_values_are_shown_where_that_is_asked_for(workers: int) -> None:
    workflow, config = people(leaves_a_text_for_a_number), bf.EngineConfig(log_values=True)
    with bf.Engine(":memory:", workflow, workers=workers, config=config) as engine:
        stored, shown = drained(engine, "people")["people"]

    assert f"left a str ('{SECRET}') in field 'age'" in shown
    assert SECRET in stored


def test_values_of_steps_in_sql_are_shown_where_that_is_asked_for() -> None:
    workflow = people(set={"age": "CAST(email AS INTEGER)"})

    _, shown = drained_alone(workflow, config=bf.EngineConfig(log_values=True))

    assert "Could not convert string" in shown
    assert SECRET in shown


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
    with bf.Engine(tmp_path / "people.duckdb", people(), workers=0) as opened:
        yield opened


@pytest.fixture
def showing(tmp_path: Path) -> Iterator[bf.Engine]:
    config = bf.EngineConfig(log_values=True)
    with bf.Engine(tmp_path / "shown.duckdb", people(), workers=0, config=config) as opened:
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

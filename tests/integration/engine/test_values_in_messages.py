"""No message, log or report shows an object's values without ``log_values``."""

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
    "a text for a zone": {"set": {"note": "(now() AT TIME ZONE email)::VARCHAR"}},
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
def test_errors_of_steps_show_no_value(step: Callable[..., Any], drain: Drain) -> None:
    found, logged = drain
    stored, shown = found[step.__name__]

    assert "hunter2" not in stored + shown + logged


@pytest.mark.parametrize("kind", SQL_STEPS)
def test_errors_of_sql_steps_show_no_value(kind: str, logged: Callable[[], str]) -> None:
    stored, shown = drained_alone(people(**SQL_STEPS[kind]))

    assert "hunter2" not in stored + shown + logged()
    assert "9223372036854775807 " not in shown


@pytest.mark.parametrize("step", OWN_ERRORS)
def test_the_message_that_a_step_raises_is_only_stored(
    step: Callable[..., Any], drain: Drain
) -> None:
    found, logged = drain
    stored, shown = found[step.__name__]

    assert SECRET in stored
    assert "hunter2" not in shown + logged


def test_the_message_that_an_sql_step_raises_is_only_stored() -> None:
    stored, shown = drained_alone(people(set={"age": "error('no card of ' || email)"}))

    assert f"no card of {SECRET}" in stored
    assert "hunter2" not in shown


@pytest.mark.parametrize("workers", [0, 1])
def test_values_are_shown_with_log_values(workers: int) -> None:
    workflow, config = people(leaves_a_text_for_a_number), bf.EngineConfig(log_values=True)
    with bf.Engine(":memory:", workflow, workers=workers, config=config) as engine:
        stored, shown = drained(engine, "people")["people"]

    assert f"left a str ('{SECRET}') in field 'age'" in shown
    assert SECRET in stored


def test_values_of_sql_steps_are_shown_with_log_values() -> None:
    workflow = people(set={"age": "CAST(email AS INTEGER)"})

    _, shown = drained_alone(workflow, config=bf.EngineConfig(log_values=True))

    assert "Could not convert string" in shown
    assert SECRET in shown


def test_a_shown_value_is_shortened(tmp_path: Path) -> None:
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


# Loads, triggers and queries.


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    path = tmp_path_factory.mktemp("people") / "people.duckdb"
    with bf.Engine(path, people(), workers=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def showing_engine() -> Iterator[bf.Engine]:
    config = bf.EngineConfig(log_values=True)
    with bf.Engine(":memory:", people(), workers=0, config=config) as opened:
        yield opened


def csv(folder: Path) -> Any:
    (folder / "a.csv").write_text(f"email,age\na,1\nb,{SECRET}\n")
    return folder / "a.csv"


def ragged_csv(folder: Path) -> Any:
    (folder / "a.csv").write_text(f"email,age\na,1\n{SECRET},2,3\n")
    return folder / "a.csv"


def csv_with_lines_in_values(folder: Path) -> Any:
    (folder / "a.csv").write_text(f'email,age\na,1\n"b\n{SECRET}\n",2,3\n')
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


def raising_reader(_: Path) -> Any:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"email": ["a"], "age": [1]})
        raise OwnError(f"no card of {SECRET}")

    schema = pa.schema({"email": pa.string(), "age": pa.int64()})
    return pa.RecordBatchReader.from_batches(schema, batches())


SOURCES: dict[str, Callable[[Path], Any]] = {
    "csv": csv,
    "ragged csv": ragged_csv,
    "csv with lines in values": csv_with_lines_in_values,
    "sql over csv with lines in values": lambda f: (
        f"FROM read_csv('{csv_with_lines_in_values(f)}')"
    ),
    "json": json,
    "broken json": broken_json,
    "parquet": parquet,
    "table": lambda _: pa.table({"email": ["a"], "age": [SECRET]}),
    "mixed column of pandas": lambda _: pd.DataFrame({"email": ["a", "b"], "age": [1, SECRET]}),
    "objects in a column of pandas": lambda _: pd.DataFrame(
        {"email": ["a", "b"], "age": [1, Person(SECRET)]}
    ),
    "quotes in a column of pandas": lambda _: pd.DataFrame(
        {"email": ["a", "b"], "age": [1, f'\'" it\'s "{SECRET}"']}
    ),
    "reader that fails": failing_reader,
    "reader that raises": raising_reader,
    "objects": lambda _: [Person("a", SECRET)],  # type: ignore[arg-type]
    "something else than objects": lambda _: [Person("a"), SECRET],
    "sql": lambda _: f"SELECT 'a' AS email, CAST(x AS INT) AS age FROM (VALUES ('{SECRET}')) t(x)",
    "sql over a file": lambda f: (
        f"SELECT email, age::INT AS age FROM read_csv('{csv(f)}', all_varchar = true)"
    ),
    "sql over a file, in itself": lambda f: f"SELECT 'a' AS email, age FROM '{csv(f)}'",
}


def error_of(call: Callable[[], Any]) -> str:
    """Return everything that Python can print of the error."""
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
def test_the_error_for_a_source_shows_no_value(
    kind: str, engine: bf.Engine, tmp_path: Path, logged: Callable[[], str]
) -> None:
    source = SOURCES[kind](tmp_path)

    printed = error_of(lambda: engine.trigger_many(source, foreign_id="email"))

    assert "hunter2" not in printed + logged()


def test_rows_left_out_are_reported_without_their_values(engine: bf.Engine, tmp_path: Path) -> None:
    report = engine.trigger_many(csv(tmp_path), foreign_id="email", on_invalid="skip")

    assert "(row 2: 'b')" in str(report)
    assert "hunter2" not in f"{report!r} {report}"


def test_the_error_for_an_object_shows_no_value(engine: bf.Engine) -> None:
    printed = error_of(lambda: engine.trigger("p1", Person("a", SECRET)))  # type: ignore[arg-type]
    assert "field 'age' is a str instead of int" in printed
    assert "hunter2" not in printed

    assert "hunter2" not in error_of(lambda: engine.trigger("p1", SECRET))
    assert "hunter2" not in error_of(lambda: bf.Engine(":memory:", Person(SECRET)))  # type: ignore[arg-type]


def test_the_error_for_a_predicate_shows_no_value(engine: bf.Engine) -> None:
    engine.trigger("p1", Person(SECRET))

    printed = error_of(lambda: engine.cancel("CAST(email AS INTEGER) > 3"))

    assert "can't be converted to INT32" in printed
    assert "hunter2" not in printed


@pytest.mark.parametrize("kind", ["csv", "parquet", "table", "sql over a file, in itself"])
def test_the_error_for_a_source_shows_values_with_log_values(
    kind: str, showing_engine: bf.Engine, tmp_path: Path
) -> None:
    source = SOURCES[kind](tmp_path)

    assert SECRET in error_of(lambda: showing_engine.trigger_many(source, foreign_id="email"))


def test_the_error_for_an_object_shows_values_with_log_values(showing_engine: bf.Engine) -> None:
    printed = error_of(lambda: showing_engine.trigger("p1", Person("a", SECRET)))  # type: ignore[arg-type]

    assert f"field 'age' is a str ('{SECRET}') instead of int" in printed


def test_the_message_of_a_resource_that_fails_to_close_is_not_logged(
    tmp_path: Path, logged: Callable[[], str]
) -> None:
    flow: bf.Workflow[Any, Any] = bf.Workflow("people", Person, Stage, resources={"db": Closing})
    flow.step(Stage.NEW, to=Stage.DONE)(lambda run: Stage.DONE)
    with bf.Engine(tmp_path / "people.duckdb", flow, workers=0) as engine:
        engine.trigger("p1", Person("a"))
        engine.run(progress=False)

    assert "A resource didn't close: OSError" in logged()
    assert "hunter2" not in logged()


def test_the_error_that_ends_a_background_coordinator_is_logged_by_its_type(
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

    assert "The coordinator ended with an error: ResourceError" in logged()
    assert "hunter2" not in logged()

"""No message, log, table or lock file shows a password or a signature of a URL."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from secrets_kit import LOCATION, Person, names_a_location, pauses_for_a_location, people

import batchflow as bf
from batchflow.errors import BatchflowError, DefinitionError, QueryError, SourceError
from kit.things import Stage

SHOWN = "s3://***@bucket/a.csv?sig=***&part=1"


def test_every_error_hides_them() -> None:
    assert str(BatchflowError(f"There is no {LOCATION}.")) == f"There is no {SHOWN}."
    assert DefinitionError(problems=[LOCATION]).problems == (SHOWN,)


@pytest.mark.parametrize(
    "source",
    [
        LOCATION,
        [LOCATION, "b.csv"],
        f"FROM read_csv('{LOCATION}')",
        "https://john:hunter2@host/a.csv",
        "a.csv?token=hunter2",
    ],
    ids=["path", "paths", "sql", "https", "unknown format"],
)
def test_the_error_for_a_source_hides_them(source: Any) -> None:
    with (
        bf.Engine(":memory:", people(), workers=0) as engine,
        pytest.raises(SourceError, match=r"\*\*\*") as caught,
    ):
        engine.trigger_many(source)

    assert "hunter2" not in f"{caught.value!r} {vars(caught.value)}"
    assert caught.value.__cause__ is None


def test_the_error_of_a_query_hides_them(tmp_path: Path) -> None:
    with bf.Engine(":memory:", people(), workers=0) as engine, pytest.raises(QueryError) as caught:
        engine.sql(f"FROM read_csv('{LOCATION}')").fetchall()

    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("step", [names_a_location, pauses_for_a_location])
def test_what_a_step_leaves_in_the_store_hides_them(
    step: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with bf.Engine(":memory:", people(step), workers=0) as engine:
        run_id = engine.trigger("p1", Person("a"))
        report = engine.run(progress=False)
        kept = [
            *engine.sql("SELECT message, traceback FROM people.errors").fetchall(),
            *engine.sql("SELECT reason FROM people.transitions").fetchall(),
        ]

        shown = f"{kept} {report} {engine.get(run_id)} {caplog.text}"

    assert SHOWN in str(kept)
    assert "hunter2" not in shown


def test_the_ledger_and_the_history_of_a_load_hide_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("s3:/john:hunter2@bucket")
    folder.mkdir(parents=True)
    source = folder / "a.csv"
    source.write_text("email,age\na,1\nb,x\n")
    with bf.Engine(":memory:", people(), workers=0) as engine:
        report = engine.trigger_many(str(source), foreign_id="email", on_invalid="skip")
        again = engine.trigger_many(str(source), foreign_id="email")
        source.write_text("email,age\na,2\n")
        engine.trigger_many(str(source), foreign_id="email", on_conflict="update")
        engine.cancel("true", reason=f"loaded from {source}")
        kept = [
            engine.sql(f"FROM {table}").fetchall()
            for table in ("batchflow.loads", "batchflow.rejected", "people.transitions")
        ]

    shown = f"{report!r} {report} {report._repr_html_()} {again!r} {again} {kept}"
    assert "hunter2" not in shown
    assert str(kept).count("s3:/***@bucket/a.csv") >= 5


def test_the_lock_file_hides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["job.py", LOCATION, "--token=hunter2"])
    store = tmp_path / "people.duckdb"

    with bf.Engine(store, people(), workers=0):
        written = Path(f"{store}.lock").read_text()

    assert f"job.py {SHOWN} --token=***" in written
    assert "hunter2" not in written


def test_a_resource_that_fails_to_open_hides_them() -> None:
    def refuse() -> None:
        raise OSError(f"{LOCATION} can't be reached")

    flow: bf.Workflow[Any, Any] = bf.Workflow("people", Person, Stage, resources={"db": refuse})
    flow.step(Stage.NEW, to=Stage.DONE)(lambda run: Stage.DONE)
    with bf.Engine(":memory:", flow, workers=0) as engine:
        engine.trigger("p1", Person("a"))
        with pytest.raises(bf.errors.ResourceError, match=r"\*\*\*@bucket") as caught:
            engine.run(progress=False)

    assert "hunter2" not in str(caught.value)

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
from store_kit import NOW, Bench, Parcel, fetched, parcels

import batchflow as bf
from batchflow.definition.workflow import Workflow
from batchflow.errors import (
    InvalidOptionError,
    QueryError,
    RunNotFoundError,
    StoreFormatError,
    StoreHeldError,
    WorkflowNotFoundError,
)
from batchflow.store import Store
from kit.forked import begin, execute

CRASHED = """
    import os, signal, sys
    import duckdb

    connection = duckdb.connect(sys.argv[1])
    connection.execute("UPDATE parcels.runs SET weight = 100 WHERE seq = 0")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store with two workflows, of which one has three runs."""
    path = tmp_path / "warehouse.duckdb"
    workflows: list[Workflow] = [parcels(), parcels("returns", record_transitions=False)]
    store = Store.open(path, workflows, clock=lambda: NOW)
    Bench(store, workflows[0]).seed(3)
    store.close()
    return path


def test_a_reader_queries_a_store_without_any_definition(stored: Path) -> None:
    with bf.connect(stored) as reader:
        assert reader.workflows == ("parcels", "returns")
        assert fetched(reader.counts(workflow="parcels")) == [("NEW", "INITIATED", 3)]
        assert fetched(
            reader.runs("weight > 0", workflow="parcels").select("weight").order("weight")
        ) == [
            (1,),
            (2,),
        ]
        assert fetched(reader.errors(workflow="parcels")) == []
        assert fetched(reader.sql("SELECT max(weight) FROM parcels.runs")) == [(2,)]


def test_a_reader_and_an_engine_return_the_same_columns(stored: Path) -> None:
    workflow = parcels()
    with bf.connect(stored) as reader:
        columns = [
            reader.runs(workflow="parcels").columns,
            reader.counts(workflow="parcels").columns,
            reader.errors(workflow="parcels").columns,
        ]
    with bf.Engine(stored, workflow, workers=0) as engine:
        assert columns == [engine.runs().columns, engine.counts().columns, engine.errors().columns]


def test_history_finds_the_workflow_by_the_run_id(stored: Path) -> None:
    with bf.connect(stored) as reader:
        (run_id,) = fetched(reader.runs("weight = 0", workflow="parcels").select("run_id"))[0]
        assert reader.find(run_id).workflow == "parcels"
        assert fetched(reader.history(run_id)) == []
        with pytest.raises(RunNotFoundError):
            reader.history(UUID(int=run_id.int + 10))
        with pytest.raises(RunNotFoundError):
            reader.history(UUID(int=1))


def test_the_workflow_is_required_if_there_are_several(stored: Path) -> None:
    with bf.connect(stored) as reader:
        with pytest.raises(InvalidOptionError, match="'parcels', 'returns'"):
            reader.counts()
        with pytest.raises(WorkflowNotFoundError, match="no workflow 'orders'"):
            reader.counts(workflow="orders")


def test_a_wrong_predicate_names_the_columns(stored: Path) -> None:
    with bf.connect(stored) as reader, pytest.raises(QueryError, match=r"run_id, .*weight"):
        reader.runs("mass > 1", workflow="parcels").fetchall()


def test_a_reader_refuses_what_would_change_the_store(stored: Path) -> None:
    with bf.connect(stored) as reader, pytest.raises(QueryError, match="reads"):
        reader.sql("DELETE FROM parcels.runs")


def test_a_path_without_a_file_is_refused_and_no_file_is_created(tmp_path: Path) -> None:
    with pytest.raises(StoreFormatError, match="no store at"):
        bf.connect(tmp_path / "missing.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).close()
    with pytest.raises(StoreFormatError, match="did not create"):
        bf.connect(other)


def test_several_readers_share_a_store(stored: Path) -> None:
    with bf.connect(stored) as one, bf.connect(stored) as other:
        assert fetched(one.counts(workflow="parcels")) == fetched(other.counts(workflow="parcels"))


def test_an_engine_that_does_not_serve_keeps_readers_out(stored: Path) -> None:
    alone = bf.EngineConfig(serve=False)
    with (
        bf.Engine(stored, parcels(), workers=0, config=alone),
        pytest.raises(StoreHeldError) as caught,
    ):
        bf.connect(stored)
    assert caught.value.holder["pid"] == os.getpid()


def test_a_client_with_its_relations_keeps_no_engine_out_and_works_before_and_after(
    stored: Path,
) -> None:
    client = bf.connect(stored)
    relation = client.runs(workflow="parcels")
    assert len(relation) == 3
    for _ in range(2):
        with bf.Engine(stored, parcels(), workers=0) as engine:
            assert (client.served, len(relation)) == (True, len(engine.runs()))
            engine.trigger(f"added-{len(relation)}", Parcel(1))
            assert len(relation) == len(engine.runs())
        assert (client.served, len(relation)) == (False, len(client.runs(workflow="parcels")))
    assert len(relation) == 5


def test_an_engine_opens_the_store_between_two_batches_of_a_dropped_stream(stored: Path) -> None:
    stream = bf.connect(stored).runs(workflow="parcels").to_arrow_reader(1)
    stream.read_next_batch()
    del stream
    bf.Engine(stored, parcels(), workers=0).close()


def test_an_engine_waits_for_a_reader_that_is_about_to_close(stored: Path) -> None:
    code = (
        "import sys\nimport batchflow as bf\n"
        "stream = bf.connect(sys.argv[1]).runs(workflow='parcels').to_arrow_reader(1)\n"
        "stream.read_next_batch()\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    with begin(code, stored) as process:
        assert process.stdout.readline() == "open\n"
        threading.Timer(0.2, process.stdin.close).start()
        bf.Engine(stored, parcels(), workers=0).close()


def test_another_program_that_holds_the_file_is_named_by_its_pid(stored: Path) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, str(stored)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreHeldError) as caught:
            bf.connect(stored)
        process.communicate()
    assert caught.value.holder["pid"] == process.pid
    assert f"process {process.pid} " in str(caught.value)


def test_a_reader_reads_the_log_of_a_crash_and_leaves_it_unchanged(stored: Path) -> None:
    assert execute(textwrap.dedent(CRASHED), stored).code == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in stored.parent.iterdir()}
    assert f"{stored.name}.wal" in before
    with bf.connect(stored) as reader:
        assert fetched(reader.sql("SELECT max(weight) FROM parcels.runs")) == [(100,)]
    assert {path.name: path.read_bytes() for path in stored.parent.iterdir()} == before


def test_a_store_is_changed_without_its_definitions_while_no_engine_has_it_open(
    stored: Path,
) -> None:
    client = bf.connect(stored)
    run_id = client.trigger("new", Parcel(7, "glass"), workflow="returns")
    assert client.get("new").object.label == "glass"
    assert client.pause(run_ids=[run_id], workflow="returns").changed == 1
    assert client.wait(run_id, "NEW").run_state is bf.RunState.PAUSED
    with bf.Engine(stored, parcels("returns", record_transitions=False), workers=0) as engine:
        assert engine.get(run_id).object == Parcel(7, "glass")

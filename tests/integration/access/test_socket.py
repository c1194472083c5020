from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from remote_kit import Stage, Thing, files_of, load, things

import batchflow as bf
from batchflow.errors import (
    ConflictError,
    EngineStateError,
    InvalidOptionError,
    InvalidRowsError,
    LoadError,
    QueryError,
    RunNotFoundError,
    SourceError,
    StoreError,
)
from kit.forked import begin, execute


@pytest.fixture
def engine(path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(path, things(), workers=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.StoreClient]:
    """Return a client of an engine without runs, for queries."""
    path = tmp_path_factory.mktemp("asked") / "things.duckdb"
    with bf.Engine(path, things(), workers=0), bf.connect(path) as connected:
        yield connected


@pytest.fixture
def client(engine: bf.Engine) -> Iterator[bf.StoreClient]:
    with bf.connect(engine.path) as connected:
        yield connected


def test_whoever_asks_need_not_know_who_has_the_store(path: Path) -> None:
    questions = [
        lambda store: store.counts(),
        lambda store: store.runs("number < 5").order("seq"),
        lambda store: store.runs().select("sum(number) AS total", "max(status) AS status"),
        lambda store: store.errors(),
        lambda store: store.sql("SELECT * FROM things.runs WHERE number = $n", {"n": 7}),
        lambda store: store.sql("SELECT ?::VARCHAR || 'x', ? IS NULL", ["a", None]),
    ]
    with bf.Engine(path, things(), workers=0) as engine:
        load(engine, 100)
        engine.run(limit=50)
        own = [ask(engine) for ask in questions]
        expected = [(each.columns, each.types, each.fetchall()) for each in own]
        with bf.connect(path) as client:
            assert client.served
            asked = [ask(client) for ask in questions]
            assert [(each.columns, each.types, each.fetchall()) for each in asked] == expected
            assert [each.to_arrow_table() for each in asked] == [
                each.to_arrow_table() for each in own
            ]
    with bf.connect(path) as client:
        assert not client.served
        asked = [ask(client) for ask in questions]
        assert [(each.columns, each.types, each.fetchall()) for each in asked] == expected


def test_a_history_is_found_by_the_run_id(engine: bf.Engine, client: bf.StoreClient) -> None:
    run_id = engine.trigger("a", Thing(1))
    engine.run()

    assert client.history(str(run_id)).select("to_status::VARCHAR").fetchall() == [
        ("DOUBLED",),
        ("DONE",),
    ]
    with pytest.raises(RunNotFoundError):
        client.history("00000000-0000-0000-0000-000000000000")


def test_how_far_a_drain_is_is_told_to_others(path: Path) -> None:
    with bf.Engine(path, things(), workers=1) as engine:
        load(engine, 10_000)
        engine.start()
        with bf.connect(path) as client:
            while (told := client.progress()) is None or not told.finished:
                pass
            engine.stop()
            assert client.progress() is None

    assert 0 < told.finished <= 10_000
    assert told.finished + told.left == sum(told.status_counts["things"].values())
    assert [step.to_statuses for step in told.steps] == [("DOUBLED",), ("DONE",)]
    assert told.at.tzinfo is not None
    assert str(told).startswith(f"{told.finished:,} of ")


def test_where_no_engine_is_no_drain_is(path: Path) -> None:
    bf.Engine(path, things(), workers=0).close()
    with bf.connect(path) as client:
        assert client.progress() is None


def test_a_million_rows_are_streamed(asking: bf.StoreClient) -> None:
    batches = asking.sql("SELECT range AS n FROM range(1_000_000)").to_arrow_reader()

    assert sum(batch.num_rows for batch in batches) == 1_000_000


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM things.runs", "one statement that only reads"),
        ("WITH gone AS (DELETE FROM things.runs RETURNING *) FROM gone", "one statement"),
        ("COPY things.runs TO '/tmp/x.csv'", "one statement"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("FROM read_csv('/etc/passwd')", "reads from read_csv"),
        ("FROM '/etc/passwd'", "passwd"),
        ("FROM duckdb_settings()", "reads from duckdb_settings"),
        ("SELECT Current_Setting ('memory_limit')", "no settings"),
        ("FROM query('FROM duckdb_' || 'settings()')", "SQL that is given as text"),
        ("FROM pg_settings", "no settings"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELEC 1", "parsed"),
    ],
)
def test_a_query_only_reads_the_store(asking: bf.StoreClient, query: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        asking.sql(query).fetchall()


def test_a_query_that_fails_later_says_so(engine: bf.Engine, client: bf.StoreClient) -> None:
    load(engine, 10)

    with pytest.raises(QueryError, match="INT8"):
        client.sql("SELECT (number + 1_000)::TINYINT FROM things.runs").fetchall()
    with pytest.raises(QueryError, match=r"nope.*columns seq, run_id"):
        client.runs("nope > 1").fetchall()


def test_a_query_that_takes_too_long_is_ended(path: Path) -> None:
    config = bf.EngineConfig(query_timeout_seconds=0.8)
    with bf.Engine(path, things(), workers=0, config=config) as engine, bf.connect(path) as client:
        with pytest.raises(QueryError, match=r"longer than 0\.8 seconds"):
            client.sql("SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b").fetchall()
        load(engine, 10)
        assert client.runs().aggregate("count(*)").fetchall() == [(10,)]


def test_a_query_whose_asker_is_gone_is_ended(path: Path) -> None:
    ask = """
import sys, threading
import batchflow as bf

def ask():
    with bf.connect(sys.argv[1]) as store:
        print("asking", flush=True)
        store.sql("SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b").fetchall()

threads = [threading.Thread(target=ask) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""
    with bf.Engine(path, things(), workers=0) as engine:
        with begin(ask, path) as asking:
            assert [asking.stdout.readline() for _ in range(4)] == 4 * ["asking\n"]
        # There is room for four queries, so this one is answered only once those have ended.
        with bf.connect(engine.path) as client:
            assert client.sql("SELECT 1").fetchall() == [(1,)]


def test_runs_are_triggered_by_others(engine: bf.Engine, client: bf.StoreClient) -> None:
    one = client.trigger("a", Thing(1))
    other = client.trigger("b", {"number": 2})
    with pytest.raises(ConflictError, match="'a'"):
        client.trigger("a", Thing(3))
    with pytest.raises(InvalidRowsError):
        client.trigger("c", {"number": "many"})
    with pytest.raises(LoadError, match="int"):
        client.trigger("d", 5)
    engine.run()

    assert [engine.get(run_id).object for run_id in (one, other)] == [Thing(1, 2), Thing(2, 4)]


def test_sources_are_loaded_by_others(
    engine: bf.Engine, client: bf.StoreClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few.csv").write_text("number,doubled\n1,0\n2,0\n")
    monkeypatch.chdir(tmp_path)

    assert client.trigger_many("few.csv", foreign_id="number").loaded == 2
    table = pa.table({"number": [2, 3], "doubled": [0, 0]})
    report = client.trigger_many(table, foreign_id="number", at=Stage.DOUBLED)
    assert (report.loaded, report.skipped_conflicts, report.conflict_sample) == (1, 1, ("2",))
    assert client.trigger_many("SELECT 4 AS number, 0 AS doubled", foreign_id="number").loaded == 1
    with pytest.raises(SourceError, match="of type int"):
        client.trigger_many(5, foreign_id="number")
    with pytest.raises(SourceError, match=r"missing\.csv"):
        client.trigger_many(tmp_path / "missing.csv", foreign_id="number")
    assert engine.runs().aggregate("count(*)").fetchall() == [(4,)]


def test_runs_are_held_by_others(engine: bf.Engine, client: bf.StoreClient) -> None:
    load(engine, 10)
    (run_id,) = client.runs("number = 5").select("run_id").fetchall()[0]

    assert client.pause("number < 3", reason="look").changed == 3
    assert client.cancel(run_ids=[run_id], workflow="things").changed == 1
    assert client.resume("true") == bf.ControlReport("resumed", 3, 7)
    with pytest.raises(QueryError, match="nope"):
        client.pause("nope")
    states = client.counts().select("run_state::VARCHAR, runs").fetchall()
    assert sorted(states) == [("CANCELLED", 1), ("INITIATED", 6), ("RUNNING", 3)]


def test_finished_runs_are_removed_by_others(engine: bf.Engine, client: bf.StoreClient) -> None:
    load(engine, 10)
    engine.run(limit=10)
    engine.run(limit=4)
    now = datetime.now(UTC).replace(tzinfo=None)

    assert client.prune(timedelta(days=1), workflow="things").runs == 0
    foreseen = client.prune(now, "number >= 0", dry_run=True)
    assert (foreseen.runs, foreseen.transitions, foreseen.errors) == (4, 8, 0)
    assert client.prune(timedelta(0)).runs == 4
    with pytest.raises(QueryError, match="nope"):
        client.prune(timedelta(0), "nope")
    assert len(engine.runs()) == 6


@pytest.mark.parametrize("moment", ["yesterday", timedelta(days=-1), timedelta.max])
def test_a_moment_that_is_none_is_refused(client: bf.StoreClient, moment: Any) -> None:
    with pytest.raises(InvalidOptionError, match="finished_before is"):
        client.prune(moment)


def test_a_drain_is_ended_by_others(path: Path) -> None:
    began = threading.Event()

    def never_finish(run: bf.Run[Thing, Stage]) -> bf.Answer:
        began.set()
        return run.repeat()

    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, never_finish, Stage.DONE)
    with bf.Engine(path, workflow, workers=0) as engine, bf.connect(path) as client:
        engine.trigger("a", Thing(1))
        assert not client.request_stop()
        stopper = threading.Thread(target=lambda: began.wait() and client.request_stop())
        stopper.start()
        report = engine.run()
        stopper.join()

    assert report.runs > 0


def test_where_no_engine_is_there_is_no_drain_to_stop(path: Path) -> None:
    bf.Engine(path, things(), workers=0).close()

    client = bf.connect(path)
    assert client.progress() is None
    with pytest.raises(EngineStateError, match="No engine has"):
        client.request_stop()


def test_the_socket_is_its_owners_alone_and_goes_with_the_engine(path: Path) -> None:
    with bf.Engine(path, things(), workers=0):
        mode = path.with_name("things.duckdb.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert ".sock.new" not in files_of(path)
    assert files_of(path) == {""}


def test_an_engine_that_does_not_serve_has_no_socket(path: Path) -> None:
    with bf.Engine(path, things(), workers=0, config=bf.EngineConfig(serve=False)):
        assert ".sock" not in files_of(path)


def test_a_socket_that_a_killed_engine_left_is_recognised_and_replaced(path: Path) -> None:
    code = (
        "import os, signal, sys\nsys.path.insert(0, sys.argv[2])\n"
        "import batchflow as bf\nfrom remote_kit import load, things\n"
        "engine = bf.Engine(sys.argv[1], things(), workers=0)\nload(engine, 5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = str(Path(__file__).parent)
    assert execute(code, path, folder).code == -signal.SIGKILL
    assert ".sock" in files_of(path)

    with bf.connect(path) as client:
        assert not client.served
        assert client.counts().select("runs").fetchall() == [(5,)]
    with bf.Engine(path, things(), workers=0), bf.connect(path) as client:
        assert client.served
    assert files_of(path) == {""}


def test_a_client_works_on_when_its_engine_has_gone(path: Path) -> None:
    engine = bf.Engine(path, things(), workers=0)
    client = bf.connect(path)
    load(engine, 3)
    engine.close()

    assert client.counts().select("runs").fetchall() == [(3,)]
    assert client.pause("true").changed == 3


def test_an_engine_that_is_killed_while_it_carries_out_an_operation_is_one_clear_error(
    path: Path,
) -> None:
    code = (
        "import os, sys\nsys.path.insert(0, sys.argv[2])\n"
        "import batchflow as bf\nfrom batchflow import testing\n"
        "from remote_kit import load, things\n"
        "engine = bf.Engine(sys.argv[1], things(), workers=0)\nload(engine, 5)\n"
        "testing.arm_crash('within_control')\nprint('ready', flush=True)\nsys.stdin.read()\n"
    )
    with begin(code, path, Path(__file__).parent) as engine:
        assert engine.stdout.readline() == "ready\n"
        client = bf.connect(path)
        with pytest.raises(StoreError, match="ended before it replied"):
            client.pause("true")
    assert client.counts().select("run_state, runs").fetchall() == [("INITIATED", 5)]
    assert client.pause("true").changed == 5


@pytest.mark.parametrize(
    "name", [f"{'a' * 100}/{'b' * 100}/things", "a b/c%20d", "ä/#x&y", "'q\"/[z]", "new\nline"]
)
def test_any_path_has_a_socket(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with bf.Engine(path, things(), workers=0) as engine, bf.connect(path) as client:
        load(engine, 3)
        assert client.served
        assert client.counts().select("runs").fetchall() == [(3,)]


def test_something_else_that_listens_there_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bf.Engine(path, things(), workers=0).close()
    other = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(path.parent)
    other.bind("things.duckdb.sock")

    with other, bf.connect(path) as client:
        assert not client.served


def test_a_script_that_forgets_to_close_leaves_no_socket(path: Path) -> None:
    code = (
        "import sys\nsys.path.insert(0, sys.argv[2])\n"
        "import batchflow as bf\nfrom remote_kit import things\n"
        "engine = bf.Engine(sys.argv[1], things(), workers=0)\nengine.start()\n"
    )
    folder = str(Path(__file__).parent)
    ended = subprocess.run(
        [sys.executable, "-c", code, path, folder], check=False, capture_output=True, text=True
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ".sock" not in files_of(path)


def test_many_ask_at_once(engine: bf.Engine) -> None:
    load(engine, 1_000)
    answers: list[object] = []

    def ask() -> None:
        with bf.connect(engine.path) as client:
            answers.append(client.runs().aggregate("count(*)").fetchall())

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for each in threads:
        each.start()
    began = time.monotonic()
    for each in threads:
        each.join(60 - (time.monotonic() - began))

    assert answers == [[(1_000,)]] * len(threads)


def test_a_forked_child_that_ends_takes_neither_socket_nor_coordinator_along(path: Path) -> None:
    code = (
        "import os, sys, warnings\nwarnings.simplefilter('ignore')\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import batchflow as bf\nfrom remote_kit import Stage, Thing, load, things\n"
        "engine = bf.Engine(sys.argv[1], things(), workers=0)\nengine.start()\nload(engine, 5)\n"
        "child = os.fork()\n"
        "if child == 0:\n    sys.exit(7)\n"
        "_, status = os.waitpid(child, 0)\n"
        "run_id = engine.trigger('later', Thing(1))\n"
        "engine.wait(run_id, Stage.DONE, timeout_seconds=30)\n"
        "with bf.connect(sys.argv[1]) as client:\n"
        "    print(client.served)\n"
        "engine.close()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, path, str(Path(__file__).parent)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")

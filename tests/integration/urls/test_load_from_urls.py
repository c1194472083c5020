"""Loads from URLs that fsspec reads without a service."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from batchflow.store.urls.url import is_allowed
from kit.forked import begin
from kit.things import things

SECRET = "canary-0c1d2e3f"


@pytest.fixture
def engine(path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(path, things(), workers=0) as opened:
        yield opened


@pytest.fixture
def memory() -> Iterator[Any]:
    from fsspec.implementations.memory import MemoryFileSystem

    opened = MemoryFileSystem()
    yield opened
    opened.store.clear()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def refused(load: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(bf.errors.BatchflowError) as raised:
        load(*arguments, **options)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    return str(raised.value)


def test_files_in_memory_load_with_the_messages_of_files(engine: bf.Engine, memory: Any) -> None:
    memory.pipe_file("/in/a.csv", b"number\n1\n")
    memory.pipe_file("/in/b.csv", b"number\nx\n")

    load = partial(engine.trigger_many, foreign_id="number")

    assert "'memory:///in/b.csv' has rows that don't fit" in refused(load, "memory://in/*.csv")
    assert load("memory://in/*.csv", on_invalid="skip").loaded == 1
    [(source, given)] = engine.sql(
        "SELECT r.source, l.given FROM batchflow.rejected AS r JOIN batchflow.loads AS l "
        "USING (load_id)"
    ).fetchall()
    assert (source, given) == ("memory:///in/b.csv", "memory://in/*.csv")


def test_folders_around_the_store_state_no_field(tmp_path: Path, memory: Any) -> None:
    memory.pipe_file("/in/a.csv", b"id\n1\n")
    around = tmp_path / "number=7"
    around.mkdir()

    with bf.Engine(around / "things.duckdb", things(), workers=0) as engine:
        engine.trigger_many("memory://in/a.csv", foreign_id="id")
        assert engine.runs().select("number").fetchall() == [(0,)]


def test_a_url_of_this_machines_files_is_a_path(engine: bf.Engine, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("number\n1\n")

    assert engine.trigger_many(f"file://{tmp_path}/*.csv", foreign_id="number").loaded == 1
    client = bf.connect(engine.path)
    assert client.trigger_many(f"file://{tmp_path}/a.csv", foreign_id="number").loaded == 0


def test_a_signed_url_loads_and_is_kept_without_its_signature(
    engine: bf.Engine, site: str, tmp_path: Path
) -> None:
    (tmp_path / "site" / "a.csv").write_text("number\n1\n")
    url = f"{site}/a.csv?sig={SECRET}&x=.parquet"

    assert engine.trigger_many(url, foreign_id="number").loaded == 1

    [(path,)] = engine.sql("SELECT path FROM batchflow.loads").fetchall()
    assert path == f"{site}/a.csv?sig=***&x=.parquet"
    missing = f"{site}/b.csv?sig={SECRET}"
    assert "There is no file at" in refused(engine.trigger_many, missing, foreign_id="number")
    assert "format" in refused(engine.trigger_many, f"{site}/?sig={SECRET}", foreign_id="number")


class Stalled(Quiet):
    """Answers each request but the one for the content, which it keeps until it is released."""

    waiting = threading.Event()
    released = threading.Event()

    def do_GET(self) -> None:
        self.waiting.set()
        self.released.wait(60)


LOAD = """
import sys
import batchflow as bf
bf.connect(sys.argv[1]).trigger_many(sys.argv[2], foreign_id="number")
"""


def test_a_load_from_a_server_that_does_not_answer_ends_with_its_client(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("number\n1\n")
    handler = partial(Stalled, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        site = f"http://127.0.0.1:{server.server_port}/"
        with bf.Engine(path, things(), workers=0, config=bf.EngineConfig(allowed_urls=[site])):
            with begin(LOAD, path, f"{site}a.csv"):
                assert Stalled.waiting.wait(20)
                assert list(tmp_path.rglob("batchflow_download_*")) != []
            end = time.monotonic() + 8
            # The load's thread ends, and removes what it has copied.
            while left := list(tmp_path.rglob("batchflow_download_*")):
                if time.monotonic() > end:
                    break
                time.sleep(0.05)
            Stalled.released.set()
            assert left == []
        server.shutdown()


def test_options_for_no_url_are_refused(engine: bf.Engine, tmp_path: Path) -> None:
    for source in (str(tmp_path / "a.csv"), "SELECT 1 AS number", [{"number": 1}]):
        message = refused(engine.trigger_many, source, storage_options={"key": SECRET})
        assert "storage_options are for URLs" in message
    message = refused(engine.trigger_many, "memory://a.csv", storage_options=[SECRET])
    assert "storage_options is of type list" in message


def test_a_protocol_without_its_package_names_the_extra(engine: bf.Engine) -> None:
    for scheme, extra in (("gs", "gcs"), ("abfs", "azure")):
        message = refused(engine.trigger_many, f"{scheme}://a/b.csv", foreign_id="number")
        assert f"pip install 'batchflow-engine[{extra}]'" in message
    assert "Protocol not known" in refused(engine.trigger_many, "nope://a/b.csv")


def test_what_was_downloaded_is_gone_after_the_load(
    engine: bf.Engine, memory: Any, tmp_path: Path
) -> None:
    memory.pipe_file("/in/a.csv", b"number\nx\n")
    refused(engine.trigger_many, "memory://in/a.csv", foreign_id="number")

    assert list(tmp_path.rglob("batchflow_download_*")) == []


def test_the_next_open_removes_what_a_killed_load_downloaded(path: Path) -> None:
    left = path.with_name(path.name + ".tmp") / "batchflow_download_x" / "0"
    left.mkdir(parents=True)
    (left / "file.csv").write_text("number\n1\n")

    with bf.Engine(path, things(), workers=0):
        assert list(path.parent.rglob("batchflow_download_*")) == []


def test_a_url_is_allowed_within_its_folder_only() -> None:
    folders = ["s3://bucket/in/", "https://host/a/"]
    allowed = ["s3://bucket/in/a.csv", "s3://bucket/in/*/x?.parquet", "https://host/a/b.csv?s=1"]
    others = [
        *("s3://bucket/in", "s3://bucket/inside/a.csv", "S3://bucket/in/a.csv", "s3://bucket/"),
        *("s3://bucket/in/../a.csv", "s3://bucket/in/%2e%2e/a.csv", "s3://bucket/in/%252e%252e/a"),
        *("https://host/a/..\\b.csv", "https://host/a/./b.csv", "zip://a.csv::s3://bucket/in/a"),
        *("s3://bucket/in/a.csv::file:///etc/passwd", "https://user@host/a/b.csv", "memory://a"),
    ]
    assert [url for url in allowed if not is_allowed(url, folders)] == []
    assert [url for url in others if is_allowed(url, folders)] == []


@pytest.mark.parametrize("urls", ["s3://b/", ["s3://b"], ["/tmp/"], ["s3://"], [3]])
def test_an_allowed_url_is_that_of_a_folder(urls: Any) -> None:
    with pytest.raises(bf.InvalidOptionError, match="allowed_urls"):
        bf.EngineConfig(allowed_urls=urls)


def test_fsspec_is_imported_where_a_url_is_given_only() -> None:
    code = "import sys, batchflow as bf; bf.Engine; bf.connect; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

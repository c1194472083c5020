"""Loads from a real S3 server and exports to it, also when it misbehaves."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchflow as bf
from kit.s3_server import BUCKET, SECRET, S3Server, proxy
from kit.things import things

STRANGE = ("'; DROP TABLE things.runs; --", "a b", "50%", "per%20cent", "st*r", "q?", "[b]", "ünï✓")


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    with bf.Engine(":memory:", things(), workers=0) as opened:
        yield opened


@pytest.fixture
def load(engine: bf.Engine, s3: S3Server) -> Callable[..., bf.LoadReport]:
    def load(source: Any, port: int | None = None, **options: Any) -> bf.LoadReport:
        options = {"foreign_id": "number", "storage_options": s3.options(port), **options}
        return engine.trigger_many(source, **options)

    return load


def csv(*numbers: int) -> bytes:
    return "\n".join(["number", *map(str, numbers), ""]).encode()


def parquet(*numbers: int) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"number": numbers}), written)
    return written.getvalue()


def refused(load: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Return the message of a load that fails, and check that nothing shows the secret."""
    with pytest.raises(bf.errors.BatchflowError) as raised:
        load(*arguments, **options)
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown + repr(raised.value)
    return str(raised.value)


def test_a_glob_of_each_format_loads(
    engine: bf.Engine, s3: S3Server, load: Callable[..., bf.LoadReport]
) -> None:
    s3.put("formats/a.csv", csv(1, 2))
    s3.put("formats/b.parquet", parquet(3))

    for ending, loaded in (("csv", 2), ("parquet", 1)):
        assert load(f"s3://{BUCKET}/formats/*.{ending}").loaded == loaded

    assert engine.runs().select("number").order("number").fetchall() == [(1,), (2,), (3,)]
    message = refused(load, f"s3://{BUCKET}/formats/*")
    assert "has CSV and Parquet files. Load one format" in message


def test_keys_that_look_like_sql_or_globs_load_and_state_fields(
    engine: bf.Engine, s3: S3Server, load: Callable[..., bf.LoadReport]
) -> None:
    for number, name in enumerate(STRANGE):
        s3.put(f"keys/number={number}/{name}.csv", f"id\n{number}\n".encode())

    report = load(f"s3://{BUCKET}/keys/*/*.csv", foreign_id="id")

    assert report.loaded == len(STRANGE)
    found = engine.runs().order("seq").select("foreign_id", "number").fetchall()
    assert found == [(str(number), number) for number in range(len(STRANGE))]
    paths = [path for (path,) in engine.sql("SELECT path FROM batchflow.loads").fetchall()]
    assert paths == [f"s3://{BUCKET}/keys/number={n}/{key}.csv" for n, key in enumerate(STRANGE)]
    # Each key loads as itself, also where it is a glob that matches others.
    again = load(f"s3://{BUCKET}/keys/number=4/st*r.csv", foreign_id="id", again=True)
    assert [each.path for each in again.files] == [paths[4]]


def test_an_object_is_loaded_once_and_not_read_again(
    s3: S3Server, load: Callable[..., bf.LoadReport]
) -> None:
    url = s3.put("once/a.csv", csv(10))
    reads: list[None] = []

    with proxy(s3.port, r"GET /bucket/once/a\.csv", before=lambda: reads.append(None)) as watched:
        first, second = (load(f"s3://{BUCKET}/once/*.csv", watched.port) for _ in range(2))
    assert (first.loaded, second.loaded, len(reads)) == (1, 0, 1)
    assert second.skipped_files[0].path == url

    s3.put("once/a.csv", csv(11))
    assert load(url).loaded == 1


def test_an_object_that_changes_after_it_was_listed_is_refused(
    engine: bf.Engine, s3: S3Server, load: Callable[..., bf.LoadReport]
) -> None:
    s3.put("change/a.csv", csv(20))
    url = s3.put("change/b.csv", csv(21))
    every, target = f"s3://{BUCKET}/change/*.csv", r"GET /bucket/change/b\.csv"

    def rewrite() -> None:
        s3.put("change/b.csv", csv(22))

    def remove() -> None:
        s3.filesystem().rm(f"{BUCKET}/change/b.csv")

    for change in (rewrite, remove):
        with proxy(s3.port, target, before=change) as disturbed:
            message = refused(load, every, disturbed.port)
        assert url in message
        assert engine.runs().fetchall() == []
    # What is added meanwhile is for the next load.
    with proxy(s3.port, r"GET /bucket/change/a", before=rewrite) as disturbed:
        assert load(every, disturbed.port).loaded == 1
    assert load(every).loaded == 1


def test_a_download_that_breaks_off_loads_nothing(
    engine: bf.Engine, s3: S3Server, load: Callable[..., bf.LoadReport], tmp_path: Path
) -> None:
    s3.put("cut/a.csv", csv(40))
    s3.put("cut/b.csv", csv(*range(41, 20_000)))

    with proxy(s3.port, r"GET /bucket/cut/b", cut_after=30_000) as cutting:
        message = refused(load, f"s3://{BUCKET}/cut/*.csv", cutting.port)

    assert f"The source 's3://{BUCKET}/cut/b.csv' can't be read" in message
    assert engine.runs().fetchall() == []
    assert engine.sql("FROM batchflow.loads").fetchall() == []


def test_what_is_not_there_is_named(s3: S3Server, load: Callable[..., bf.LoadReport]) -> None:
    s3.put("there/a.csv", csv(50))
    for url in (f"s3://{BUCKET}/there/b.csv", "s3://no-bucket/*.csv"):
        assert f"There is no file at {url!r}." in refused(load, url)
    assert "is a folder. Give its files" in refused(load, f"s3://{BUCKET}/there")


def test_the_secret_is_nowhere(
    s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = s3.put("secret/a.csv", csv(60))
    store = tmp_path / "things.duckdb"
    caplog.set_level(logging.DEBUG, "batchflow")

    with bf.Engine(store, things(), workers=0) as engine:
        engine.trigger_many(url, foreign_id="number", storage_options=s3.options())
        refused(
            engine.trigger_many,
            f"s3://{SECRET}:{SECRET}@{BUCKET}/none.csv",
            storage_options=s3.options(),
        )
        named = f"s3://KEYIDENTIFIER:{SECRET}@{BUCKET}/lake/"
        assert "KEYIDENTIFIER" not in refused(engine.export, named, storage_options=s3.options())

    assert SECRET not in caplog.text
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or SECRET.encode() not in file.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_an_export_to_a_bucket_that_is_missing_can_not_be_written(
    s3: S3Server, engine: bf.Engine
) -> None:
    options = s3.options()
    message = refused(engine.export, "s3://missing-bucket/lake/", storage_options=options)
    assert message.endswith("can't be written: there is no such file, folder or bucket.")


def test_an_engine_loads_only_allowed_urls_for_other_processes(
    s3: S3Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.put("nightly/a.csv", csv(70))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    config = bf.EngineConfig(allowed_urls=[f"s3://{BUCKET}/nightly/"])
    with bf.Engine(path, things(), workers=0, config=config):
        client = bf.connect(path)
        for other in (
            f"s3://{BUCKET}/nightly/../other/a.csv",
            f"s3://{BUCKET}/nightly%2F..%2Fother/a.csv",
            f"s3://{BUCKET}/nightly-other/a.csv",
            f"simplecache::s3://{BUCKET}/nightly/a.csv",
            "memory://a.csv",
        ):
            message = refused(client.trigger_many, other, foreign_id="number")
            assert "The engine may not load" in message
        message = refused(client.trigger_many, url, storage_options=s3.options())
        assert "storage_options aren't sent" in message
        assert client.trigger_many(url, foreign_id="number").loaded == 1

    with bf.Engine(path, things(), workers=0):
        message = refused(bf.connect(path).trigger_many, url, foreign_id="number")
        assert "The engine may not load" in message


def test_the_store_itself_still_opens_no_url(s3: S3Server, engine: bf.Engine) -> None:
    engine.trigger_many(
        s3.put("closed/a.csv", csv(80)), foreign_id="number", storage_options=s3.options()
    )
    for source in (f"s3://{BUCKET}/closed/a.csv", "memory://a.csv"):
        with pytest.raises(bf.errors.QueryError):
            engine.sql(f"FROM read_csv('{source}')").fetchall()


def test_an_export_loads_again(s3: S3Server, load: Callable[..., bf.LoadReport]) -> None:
    with bf.Engine(":memory:", things(), workers=0) as engine:
        engine.trigger_many([{"number": n} for n in range(3)], foreign_id="number")
        out = f"s3://{BUCKET}/out/"
        report = engine.export(out, partition_by="number", storage_options=s3.options())
        assert report.rows == 3
        message = refused(engine.export, out, storage_options=s3.options())
        assert "already exists" in message

    assert load(f"{out}*/*.parquet", foreign_id="foreign_id").loaded == 3


def test_a_hand_over_that_breaks_off_is_repeated(s3: S3Server) -> None:
    out, target = f"s3://{BUCKET}/lake", r"PUT /bucket/lake/0+-0+3/number%3D1"
    with bf.Engine(":memory:", things(), executor=bf.Inline()) as engine:
        engine.trigger_many([{"number": n} for n in range(3)], foreign_id="number")
        engine.run()
        options: dict[str, Any] = {"since": "nightly", "partition_by": "number"}
        with proxy(s3.port, target, cut_after=0) as cutting:
            broken = {**options, "storage_options": s3.options(cutting.port)}
            assert "can't be written" in refused(engine.export, out, **broken)
        found = s3.filesystem().find(f"{BUCKET}/lake")
        assert 0 < len(found) < 3

        options["storage_options"] = s3.options()
        report = engine.export(out, **options)

        assert (report.rows, len(report.files)) == (3, 3)
        [success, *files] = sorted(s3.filesystem().find(f"{BUCKET}/lake"))
        assert (success.rpartition("/")[2], len(files)) == ("_SUCCESS", 3)
        assert engine.export(out, **options).rows == 0


# The last one, because the server keeps refusing.
def test_a_wrong_key_is_one_sentence(
    engine: bf.Engine, s3: S3Server, load: Callable[..., bf.LoadReport]
) -> None:
    url = s3.put("denied/a.csv", csv(90))
    s3.demand_credentials()

    message = refused(load, url.replace("a.csv", "*.csv"))
    assert "access is denied" in message
    assert len(message) < 300
    out = f"s3://{BUCKET}/denied/out/"
    assert "access is denied" in refused(engine.export, out, storage_options=s3.options())
    assert engine.runs().fetchall() == []

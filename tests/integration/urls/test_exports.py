"""Exports to files and URLs, and hand-overs that a kill interrupts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import batchflow as bf
from batchflow.export.files import SUCCESS
from kit.forked import execute
from kit.things import load, things

BEGUN = ("within_export", "export_begun", "before_success", "export_written")


@pytest.fixture
def memory() -> Iterator[Any]:
    from fsspec.implementations.memory import MemoryFileSystem

    opened = MemoryFileSystem()
    opened.store.clear()
    yield opened
    opened.store.clear()


@pytest.fixture
def engine(path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(path, things(), executor=bf.Inline()) as opened:
        load(opened, 5)
        opened.run()
        yield opened


def numbers_in(files: Any) -> list[int]:
    return sorted(n for file in files for n in pq.read_table(file)["number"].to_pylist())


def parts(folder: Path) -> dict[str, list[int]]:
    """Return the numbers in each part that is complete; there is nothing else in the folder."""
    assert all((each / SUCCESS).is_file() for each in folder.iterdir()), list(folder.iterdir())
    return {each.name: numbers_in(each.glob("*.parquet")) for each in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("where", "ending"),
    [("disk", ".csv"), ("memory://out", ".parquet"), ("memory://out", ".jsonl")],
)
def test_an_export_loads_again(
    engine: bf.Engine, tmp_path: Path, memory: Any, ending: str, where: str
) -> None:
    base = str(tmp_path / "out") if where == "disk" else where
    form = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json"}[ending]

    report = engine.export(f"{base}{ending}")
    engine.export(f"{base}-folder/", format=form, partition_by="run_state")  # type: ignore[arg-type]

    assert (report.rows, report.to) == (5, f"{base}{ending}")
    for source in (f"{base}{ending}", f"{base}-folder/run_state=COMPLETED/*{ending}"):
        with bf.Engine(":memory:", things(), workers=0) as again:
            assert again.trigger_many(source).loaded == 5
            found = again.runs().order("number").select("number").fetchall()
            assert found == [(n,) for n in range(5)]


def test_the_same_export_is_made_wherever_the_store_is(engine: bf.Engine, tmp_path: Path) -> None:
    reports = [
        engine.export(tmp_path / "here.csv", "transitions", where="seq < 3"),
        bf.connect(engine.path).export(tmp_path / "elsewhere.csv", "transitions", where="seq < 3"),
    ]
    engine.close()
    client = bf.connect(engine.path)
    reports.append(client.export(tmp_path / "closed.csv", "transitions", where="seq < 3"))

    assert [report.rows for report in reports] == [3, 3, 3]
    assert len({Path(report.to).read_bytes() for report in reports}) == 1


def test_what_is_there_is_replaced_only_where_it_is_an_export(
    engine: bf.Engine, memory: Any
) -> None:
    memory.pipe_file("/bucket/letter.txt", b"dear")
    with pytest.raises(bf.InvalidOptionError, match="isn't an earlier export"):
        engine.export("memory://bucket/", replace=True)

    engine.export("memory://out/", format="csv", partition_by=["run_state", "number"])
    with pytest.raises(bf.InvalidOptionError, match="already exists"):
        engine.export("memory://out/")
    engine.export("memory://out/", replace=True)

    assert sorted(memory.find("/out")) == [f"/out/{SUCCESS}", "/out/part-0.parquet"]
    assert json.loads(memory.cat_file(f"/out/{SUCCESS}"))["files"] == ["part-0.parquet"]
    assert memory.cat_file("/bucket/letter.txt") == b"dear"


def test_options_that_do_not_fit_are_one_sentence(engine: bf.Engine, tmp_path: Path) -> None:
    for options, message in (
        ({"to": tmp_path / "a.txt"}, "no format of exports"),
        ({"to": tmp_path / "a.csv", "partition_by": "number"}, "partition_by writes a folder"),
        ({"to": tmp_path / "a", "partition_by": "nope"}, "has no column 'nope'"),
        ({"to": tmp_path / "a.csv", "format": "parquet"}, "format is 'parquet', but"),
        ({"to": tmp_path / "a", "format": "xml"}, "format is 'xml'; give"),
        ({"to": tmp_path / "a", "storage_options": {"key": "x"}}, "storage_options are for a URL"),
        ({"to": tmp_path / "a", "what": "steps"}, "what is 'steps'; give"),
        ({"to": tmp_path / "a", "since": "n", "what": "errors"}, "since hands over"),
        ({"to": tmp_path / "a.csv", "since": "n"}, "since writes a folder for each part, and"),
        ({"to": tmp_path / "a", "since": ""}, "since is ''; give a name"),
        ({"to": 3}, "to is 3"),
    ):
        with pytest.raises(bf.InvalidOptionError, match=message):
            engine.export(**options)  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_each_hand_over_has_the_runs_that_finished_since(engine: bf.Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert engine.export(out, since="nightly", where="number < 3").last == 3
    load(engine, 2, first=10)
    unfinished = engine.trigger("later", {"number": 99})
    engine.pause(run_ids=[unfinished])
    engine.run()

    report = bf.connect(engine.path).export(out, since="nightly")

    assert (report.rows, report.first, report.last) == (4, 3, 7)
    assert report.files == ("000000000003-000000000007/part-0.parquet",)
    assert parts(out) == {
        "000000000000-000000000003": [0, 1, 2],
        "000000000003-000000000007": [3, 4, 10, 11],
    }
    assert engine.export(out, since="nightly").rows == 0
    # Another hand-over begins anew.
    assert engine.export(tmp_path / "other", since="weekly").rows == 7


def test_a_run_that_finishes_again_is_handed_over_in_its_new_version(
    engine: bf.Engine, tmp_path: Path
) -> None:
    engine.export(tmp_path / "out", since="nightly")
    engine.edit("number = 1", set={"number": "100"})
    engine.retry("number = 2", at="NEW")
    # It is unfinished, so it isn't handed over now.
    assert engine.export(tmp_path / "out", since="nightly").rows == 1
    engine.run()
    engine.export(tmp_path / "out", since="nightly")
    engine.prune(timedelta(0))
    assert engine.export(tmp_path / "out", since="nightly").rows == 0

    assert [*parts(tmp_path / "out").values()] == [[0, 1, 2, 3, 4], [100], [2]]


def test_two_processes_do_not_write_into_one_folder_at_the_same_time(
    engine: bf.Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(bf.ExportError, match="Another process is writing"):
        engine.export(out, since="nightly")
    os.close(held)

    assert engine.export(out, since="nightly").rows == 5


def test_an_interrupted_part_has_an_absolute_path(
    engine: bf.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine.begin_export("nightly", to=str(tmp_path / "out"))

    assert engine.export("out", since="nightly").rows == 5


SCRIPT = """
import sys
import batchflow as bf
from batchflow.testing import arm_crash
from kit.things import things
with bf.Engine(sys.argv[1], things(), workers=0) as engine:
    arm_crash(sys.argv[3])
    engine.export(sys.argv[2], since="nightly")
"""


def test_a_part_that_was_begun_for_a_wrong_destination_is_redirected(
    engine: bf.Engine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(bf.ExportError, match="can't be written"):
        engine.export(tmp_path / "file" / "lake", since="nightly")
    with pytest.raises(bf.InvalidOptionError, match="or give replace=True to write the same runs"):
        engine.export(tmp_path / "lake", since="nightly")
    assert engine.export(tmp_path / "lake", since="nightly", replace=True).rows == 5
    assert engine.export(tmp_path / "lake", since="nightly").rows == 0
    assert [*parts(tmp_path / "lake").values()] == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("point", BEGUN)
def test_a_killed_hand_over_is_repeated_and_nothing_is_lost_or_twice(
    path: Path, tmp_path: Path, point: str
) -> None:
    out = tmp_path / "out"
    with bf.Engine(path, things(), executor=bf.Inline()) as engine:
        load(engine, 5)
        engine.run()
    assert execute(SCRIPT, path, out, point).code == -signal.SIGKILL

    with bf.Engine(path, things(), executor=bf.Inline()) as engine:
        # What finishes meanwhile is for the next part, unless nothing was chosen yet.
        load(engine, 1, first=10)
        engine.run()
        if point == "within_export":
            assert engine.export(out, since="nightly").rows == 6
            assert [*parts(out).values()] == [[0, 1, 2, 3, 4, 10]]
            return
        with pytest.raises(bf.InvalidOptionError, match=r"interrupted\. Repeat it there first"):
            engine.export(tmp_path / "elsewhere", since="nightly")
        written = 0 if point == "export_written" else 5
        assert engine.export(out, since="nightly").rows == written
        assert engine.export(out, since="nightly").rows == 1
        assert [*parts(out).values()] == [[0, 1, 2, 3, 4], [10]]

"""A set is rewritten into another number of shards as a whole, also if the process is killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from shards_kit import Order, engine_of, orders, pattern_in

import batchflow as bf
from batchflow.store.schema.shard import READY
from kit.forked import execute

RUNS = 40
RESHARD = """
import sys
import batchflow as bf
from batchflow.testing import arm_crash

stores = bf.Stores(sys.argv[1])
arm_crash("within_placing", nth=int(sys.argv[2]))
stores.reshard(int(sys.argv[3]))
"""


def made(folder: Path, shards: int) -> bf.Stores:
    stores = bf.Stores(pattern_in(folder), orders(), shards=shards)
    stores.trigger_many([Order(number) for number in range(RUNS)], foreign_id="number")
    return stores


def rows(stores: bf.Stores) -> list[Any]:
    return stores.runs().order("seq").fetchall()


# Before any file is in place, and after all but one.
@pytest.mark.parametrize(("before", "nth", "after", "left"), [(2, 1, 3, 2), (3, 3, 2, 2)])
def test_a_kill_leaves_the_old_files_or_the_new_ones(
    before: int, nth: int, after: int, left: int, tmp_path: Path
) -> None:
    expected = rows(made(tmp_path, before))
    given = [str(pattern_in(tmp_path)), str(nth), str(after)]
    assert execute(RESHARD, *given).code == -signal.SIGKILL
    in_between = tmp_path / f"{pattern_in(tmp_path).name}{READY}"
    if in_between.exists():
        # No engine continues with a file that is about to be replaced.
        with pytest.raises(bf.StoreFormatError, match="aren't in place yet"):
            bf.Engine(tmp_path / "night-1.duckdb", orders(), workers=0)

    stores = bf.Stores(pattern_in(tmp_path))
    assert stores.shards == left
    assert rows(stores) == expected
    stores.reshard(after)
    assert rows(stores) == expected
    names = [f"night-{number}.duckdb" for number in range(1, after + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_one_store_becomes_a_set(tmp_path: Path) -> None:
    path = tmp_path / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        engine.trigger_many([Order(number) for number in range(RUNS)], foreign_id="number")
        engine.run(progress=False)
    alone = bf.connect(path)
    expected = alone.runs().order("seq").fetchall(), alone.durations().fetchall()

    stores = bf.Stores.from_store(path, pattern_in(tmp_path), shards=2)
    assert (rows(stores), stores.durations().fetchall()) == expected
    assert (stores.trigger("new", Order(1)).int >> 36) % 4096 > 0
    assert alone.runs().order("seq").fetchall() == expected[0]
    with pytest.raises(bf.StoreFormatError, match=r"night-1.duckdb, night-2.duckdb exist already"):
        bf.Stores.from_store(path, pattern_in(tmp_path), shards=2)
    with pytest.raises(bf.StoreFormatError, match="is a shard of a set"):
        bf.Stores.from_store(stores.clients[0].path, tmp_path / "a-{shard}.duckdb", shards=2)


def test_runs_that_are_loaded_later_have_ids_of_their_own(tmp_path: Path) -> None:
    stores = made(tmp_path, 2)
    before = {run_id for (run_id,) in stores.runs().select("run_id").fetchall()}
    stores.reshard(1)
    with engine_of(tmp_path, 1, 1) as engine:
        more = [Order(number) for number in range(RUNS, 2 * RUNS)]
        engine.trigger_many(more, foreign_id="number")
        # Of the runs in three slots, each is executed once.
        engine.run(progress=False)
        after = [run_id for (run_id,) in engine.runs().select("run_id").fetchall()]
        assert len(set(after)) == len(after) == 2 * RUNS
        assert before < set(after)
        failed = len(range(0, 2 * RUNS, 7))
        assert engine.transitions().aggregate("sum(runs)::BIGINT").fetchall() == [
            (2 * (2 * RUNS - failed) + failed,)
        ]
        assert engine.check().problems == ()


def test_records_that_were_loaded_or_pruned_stay_known(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("number\n" + "".join(f"{number}\n" for number in range(1, 7)))
    stores = bf.Stores(pattern_in(tmp_path), orders(), shards=1)
    stores.trigger_many(path, foreign_id="number")
    stores.cancel("true")
    stores.prune(bf.SystemClock().now())
    loads = "SELECT sum(rows)::BIGINT, sum(inserted)::BIGINT FROM batchflow.loads"
    then = "SELECT sum(#1)::BIGINT, sum(#2)::BIGINT FROM shards"
    counts = stores.sql(each=loads, then=then).fetchall()

    stores.reshard(2)
    assert stores.sql(each=loads, then=then).fetchall() == counts == [(6, 6)]
    again = [Order(number) for number in range(1, 8)]
    assert len(stores.trigger_many(path, foreign_id="number").skipped_files) == 1
    assert stores.trigger_many(again, foreign_id="number", once=True).loaded == 1


def test_a_set_that_an_engine_uses_is_left_alone(tmp_path: Path) -> None:
    stores = made(tmp_path, 2)
    with engine_of(tmp_path, 2), pytest.raises(bf.StoreHeldError, match=r"night-2\.duckdb"):
        stores.reshard(3)
    assert stores.shards == bf.Stores(tmp_path).shards == 2


def test_a_file_that_some_shards_lack_is_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("number\n1\n")
    stores = made(tmp_path, 2)
    with engine_of(tmp_path, 2) as engine:
        engine.trigger_many(path, foreign_id="number")
    with pytest.raises(bf.StoreFormatError, match=r"orders.csv.*not into .*night-1.duckdb"):
        stores.reshard(3)
    assert len(stores.runs()) >= RUNS
    # What was made until then is removed.
    assert {each.suffix for each in tmp_path.iterdir()} <= {".duckdb", ".csv", ".lock"}


def test_shards_with_other_versions_of_a_workflow_are_named(tmp_path: Path) -> None:
    stores = made(tmp_path, 2)
    changed = orders()
    changed.invariant("positive", "total > 0")
    with bf.Engine(pattern_in(tmp_path), changed, workers=0, shard="2/2"):
        pass
    with pytest.raises(bf.StoreFormatError, match=r"night-1.*night-2.*different versions"):
        stores.reshard(3)


@pytest.mark.parametrize("shards", [0, 1_001, True, "3"])
def test_a_number_that_there_cannot_be_is_refused(shards: Any, tmp_path: Path) -> None:
    with pytest.raises(bf.InvalidOptionError, match="from 1 to 1000"):
        bf.Stores(pattern_in(tmp_path), shards=shards)


def test_a_hand_over_goes_on_after_the_set_was_rewritten(tmp_path: Path) -> None:
    out = tmp_path / "lake"
    with made(tmp_path, 2) as stores:
        stores.cancel("number < 10")
        first = stores.export(out, since="nightly")
        assert (first.rows, stores.export(out, since="nightly").rows) == (10, 0)
        begun = stores.clients[1].begin_export("late", to="elsewhere")
        with pytest.raises(bf.StoreFormatError, match=r"interrupted\. Repeat it"):
            stores.reshard(3)
        assert begun.number is not None
        stores.clients[1].end_export(begun.number)
        stores.reshard(3)
        assert stores.export(out, since="nightly").rows == 0
        stores.cancel("number >= 10")
        second = stores.export(out, since="nightly")
        with pytest.raises(bf.InvalidOptionError, match="is about one store"):
            stores.begin_export("nightly", to="elsewhere")

    assert second.rows == RUNS - 10
    written = [
        n for file in out.rglob("*.parquet") for n in pq.read_table(file)["number"].to_pylist()
    ]
    assert sorted(written) == list(range(RUNS))

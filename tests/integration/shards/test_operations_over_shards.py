"""Operations are carried out in the shards that have the runs, and their counts are added up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from shards_kit import SHARDS, Order, Stage, engine_of, orders, pattern_in

import batchflow as bf
from batchflow.clock import SystemClock
from batchflow.store import Store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[bf.Stores]:
    with bf.Stores(pattern_in(tmp_path), orders(), shards=SHARDS) as opened:
        yield opened


def test_operations_change_the_runs_of_all_shards(stores: bf.Stores, tmp_path: Path) -> None:
    with ExitStack() as opened:
        # Their engines carry out each operation, without opening a file for it.
        engines = [opened.enter_context(engine_of(tmp_path, n + 1)) for n in range(SHARDS)]
        report = stores.trigger_many((Order(number) for number in range(60)), foreign_id="number")
        assert (report.loaded, len(stores.runs())) == (60, 60)
        assert stores.pause("number < 10", dry_run=True).changed == 10
        assert str(stores.pause("number < 10", dry_run=True)) == "10 runs would be paused"
        assert stores.pause("number < 10").changed == 10
        again = stores.pause("number < 20")
        assert (again.changed, again.refused, again.refusals) == (10, 10, {"PAUSED": 10})
        assert stores.resume("number < 20").changed == 20
        assert stores.edit("number < 5", set={"total": "total + 1"}).changed == 5
        assert stores.cancel("number = 7").changed == 1

        for engine in engines:
            engine.run(progress=False)
        failed = len(range(0, 60, 7)) - 1
        assert stores.retry("run_state = 'PAUSED'", at="PAID").changed == failed
        for engine in engines:
            engine.run(progress=False)
        assert stores.counts().fetchall()[-1] == ("DONE", "COMPLETED", 59)
        assert stores.prune(timedelta(0), dry_run=True).runs == 60
        assert stores.prune(timedelta(0)).runs == 60
    with pytest.raises(bf.EngineStateError, match="No engine has a shard open"):
        stores.request_stop()


def test_one_run_is_triggered_in_its_shard_and_changed_by_its_id(stores: bf.Stores) -> None:
    run_ids = [stores.trigger(f"order-{number}", Order(number)) for number in range(6)]
    assert {client.path for client in map(stores.client_of, run_ids)} == {
        client.path for client in stores.clients
    }
    assert stores.get(run_ids[3]).foreign_id == "order-3"
    with pytest.raises(bf.ConflictError):
        stores.trigger("order-3", Order(3))

    with pytest.raises(bf.RunNotFoundError, match="There is no run"):
        stores.pause(run_ids=[*run_ids, uuid4()])
    assert stores.counts().fetchall() == [("NEW", "INITIATED", 6)]
    assert stores.pause(run_ids=run_ids[:4]).changed == 4
    assert stores.pause(run_ids=[]).changed == 0


def test_a_file_is_loaded_once_into_all_shards(stores: bf.Stores, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("number\n" + "".join(f"{number}\n" for number in range(40)))
    [first] = stores.trigger_many(path, foreign_id="number").files
    assert (first.rows, first.inserted) == (40, 40)

    again = stores.trigger_many(path, foreign_id="number")
    assert (again.loaded, again.files, len(again.skipped_files)) == (0, (), 1)
    rows = pa.table({"number": [*range(30, 45), *range(40, 45)]})
    conflicts = stores.trigger_many(rows, foreign_id="number")
    assert (conflicts.loaded, conflicts.skipped_conflicts) == (5, 15)
    assert conflicts.conflict_reasons == {"duplicate": 5, "unfinished": 10}


def test_a_source_that_fails_loads_nothing_in_any_shard(stores: bf.Stores) -> None:
    def failing() -> Iterator[Order]:
        yield from (Order(number) for number in range(1_000))
        raise OSError("the line is dead")

    with pytest.raises(bf.SourceError, match="failed with OSError before its end"):
        stores.trigger_many(failing(), foreign_id="number")
    with pytest.raises(bf.InvalidRowsError):
        stores.trigger_many([Order(1), Order("two")], foreign_id="number")  # type: ignore[arg-type]
    assert len(stores.runs()) == 0


def test_nothing_is_changed_if_a_shard_cannot_be_reached(stores: bf.Stores, tmp_path: Path) -> None:
    stores.trigger_many([Order(number) for number in range(20)], foreign_id="number")
    last = tmp_path / f"night-{SHARDS}.duckdb"
    last.rename(tmp_path / "away")
    with pytest.raises(bf.StoreFormatError, match=f"night-{SHARDS}.duckdb"):
        stores.cancel("true")
    (tmp_path / "away").rename(last)
    assert stores.counts().fetchall() == [("NEW", "INITIATED", 20)]


def test_a_refusal_names_the_shard_whose_runs_it_is_about(stores: bf.Stores) -> None:
    stores.trigger_many([Order(number) for number in range(40)], foreign_id="number")
    [(number,)] = stores.clients[1].runs().limit(1).select("number").fetchall()
    unfit = {"total": f"CASE WHEN number = {number} THEN NULL ELSE total END"}
    done = r"for 1 run, .* That is of shard 2 of 2; those before it have done their part"
    with pytest.raises(bf.QueryError, match=done):
        stores.edit("true", set=unfit)
    with pytest.raises(bf.QueryError, match="shard 1 of 2; those after it weren't asked"):
        stores.edit("true", set={"total": "NULL"})
    with pytest.raises(bf.ConflictError, match="shard 2 of 2; those before it have done"):
        stores.trigger_many([Order(number)], foreign_id="number", on_conflict="error")


def test_a_set_gets_a_further_workflow_in_all_shards_or_in_none(
    stores: bf.Stores, tmp_path: Path
) -> None:
    def refunds() -> bf.Workflow[Order, Stage]:
        workflow = bf.Workflow("refunds", Order, Stage)
        workflow.sql_step(Stage.NEW, to=Stage.DONE)
        return workflow

    refused = "'refunds' isn't in the set of shard 2/2, whose workflows are: 'orders'"
    for given, shard in ((pattern_in(tmp_path), "2/2"), (tmp_path / "night-2.duckdb", None)):
        with pytest.raises(bf.MigrationError, match=refused):
            bf.Engine(given, orders(), refunds(), workers=0, shard=shard)
    with (
        engine_of(tmp_path, 2),
        pytest.raises(bf.EngineStateError, match=r"night-2.duckdb' open, so no shard got it"),
    ):
        bf.Stores(pattern_in(tmp_path), refunds())
    assert [client.workflows for client in stores.clients] == [("orders",)] * SHARDS

    # As if the call had been killed after the first shard.
    Store.add_to_shard(stores.clients[0].path, [refunds()], clock=SystemClock().now)
    [problem] = bf.Stores(pattern_in(tmp_path)).check().problems
    assert "refunds: no tables in shard 2; create them" in str(problem)
    both = bf.Stores(pattern_in(tmp_path), refunds())
    assert [client.workflows for client in both.clients] == [("orders", "refunds")] * SHARDS
    with bf.Engine(pattern_in(tmp_path), refunds(), workers=0, shard="2/2") as engine:
        engine.run(progress=False)


def test_a_new_set_has_the_workflows_of_its_first_engine(tmp_path: Path) -> None:
    with pytest.raises(bf.InvalidOptionError, match="a new one needs its workflows"):
        bf.Stores(pattern_in(tmp_path), shards=SHARDS)
    with engine_of(tmp_path, 1):
        stores = bf.Stores(pattern_in(tmp_path))
        assert [client.workflows for client in stores.clients] == [("orders",)] * SHARDS
    assert stores.check().ok
    assert "The 2 files have" in str(stores.check())
    with pytest.raises(bf.InvalidOptionError, match=r"one shard.* path '.*night-1\.duckdb'"):
        stores.explain("true")

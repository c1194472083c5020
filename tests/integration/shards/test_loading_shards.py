"""Each shard loads the rows of its own foreign ids, and all shards together load each row once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards_kit import SHARDS, Order, engine_of, in_each, orders, pattern_in

import batchflow as bf
from kit.things import Thing, things

ROWS = 1_000
NUMBERS = [str(each) for each in range(ROWS)]


def ids(engine: bf.Engine) -> list[str]:
    return [each for (each,) in engine.runs().select("foreign_id").fetchall()]


def parquet(folder: Path) -> Any:
    pq.write_table(pa.table({"number": range(ROWS)}), folder / "orders.parquet")
    return folder / "orders.parquet"


def descending_parquet(folder: Path) -> Any:
    pq.write_table(pa.table({"number": range(ROWS - 1, -1, -1)}), folder / "orders.parquet")
    return folder / "orders.parquet"


def small_csvs(folder: Path) -> Any:
    for at in range(4):
        rows = "".join(f"{number}\n" for number in range(at, ROWS, 4))
        (folder / f"orders-{at}.csv").write_text("number\n" + rows)
    return folder / "orders-*.csv"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "parquet": parquet,
    "descending parquet": descending_parquet,
    "small files": small_csvs,
    "sql": lambda _: f"WITH a AS (SELECT range AS number FROM range({ROWS})) FROM a",
    "arrow": lambda _: pa.table({"number": range(ROWS)}),
    "objects": lambda _: [Order(number) for number in range(ROWS)],
}


@pytest.mark.parametrize("files", [1, 2])
def test_a_shard_reports_as_filled_what_took_its_default_in_its_own_rows(
    tmp_path: Path, files: int
) -> None:
    first, second = ([n for n in NUMBERS if bf.shard_of(n, 2) == shard] for shard in (1, 2))
    for at in range(files):
        rows = f'{{"number": {first[at]}}}\n{{"number": {second[at]}, "total": 2}}\n'
        (tmp_path / f"{at}.jsonl").write_text(rows)
    pq.write_table(pa.table({"number": [int(first[-1])]}), tmp_path / "alone.parquet")

    def load(engine: bf.Engine) -> tuple[int, int]:
        few = engine.trigger_many(tmp_path / "*.jsonl", foreign_id="number")
        alone = engine.trigger_many(tmp_path / "alone.parquet", foreign_id="number")
        return len(few.filled), len(alone.filled)

    assert in_each(tmp_path, load)[1] == (0, 0)


@pytest.mark.parametrize("kind", SOURCES)
def test_each_row_is_loaded_in_the_shard_of_its_foreign_id(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)

    def load(engine: bf.Engine) -> list[str]:
        report = engine.trigger_many(source, foreign_id="number")
        assert report.loaded == len(ids(engine))
        return ids(engine)

    loaded = in_each(tmp_path, load)

    for shard, found in enumerate(loaded, 1):
        assert {bf.shard_of(each, SHARDS) for each in found} == {shard}
    assert sorted(each for found in loaded for each in found) == sorted(NUMBERS)


def test_the_documented_formula_is_that_of_sql_and_python() -> None:
    keys = ["1", "order-1", "größe", "", "日本", "x" * 1_000]
    query = "SELECT list(1 + ('0x' || left(md5(id), 14))::BIGINT % 8) FROM (SELECT unnest(?) AS id)"
    [(by_sql,)] = duckdb.execute(query, [keys]).fetchall()

    by_hand = [1 + int(hashlib.md5(k.encode()).hexdigest()[:14], 16) % 8 for k in keys]
    assert [bf.shard_of(key, 8) for key in keys] == by_hand == by_sql
    assert bf.shard_of(1, 8) == bf.shard_of("1", 8)


@pytest.mark.parametrize("foreign_id", [None, 1.5, True, b"1", "\ud800"])
def test_what_is_no_foreign_id_has_no_shard(foreign_id: Any, tmp_path: Path) -> None:
    with pytest.raises(bf.InvalidOptionError, match=r"foreign_id is .*; give a text or an integer"):
        bf.shard_of(foreign_id, SHARDS)
    stores = bf.Stores(pattern_in(tmp_path), orders(), shards=SHARDS)
    with pytest.raises(bf.LoadError, match="Give a text or an integer"):
        stores.trigger(foreign_id, Order(1))


@pytest.mark.parametrize("files", [1, 3])
def test_all_shards_refuse_a_source_of_which_any_row_does_not_fit(
    files: int, tmp_path: Path
) -> None:
    for at in range(files):
        bad = "7,much\n" if at == 0 else ""
        (tmp_path / f"orders-{at}.csv").write_text(f"number,total\n{at + 100},1\n{bad}")

    def load(engine: bf.Engine) -> int:
        with pytest.raises(bf.InvalidRowsError, match="row 2: '7'"):
            engine.trigger_many(tmp_path / "orders-*.csv", foreign_id="number")
        return len(engine.runs())

    assert in_each(tmp_path, load) == [0] * SHARDS


@pytest.mark.parametrize("files", [1, 3])
def test_one_shard_keeps_a_row_that_does_not_fit_with_its_number(
    files: int, tmp_path: Path
) -> None:
    for at in range(files):
        bad = "7,much\n,1\n" if at == 0 else ""
        (tmp_path / f"orders-{at}.csv").write_text(f"number,total\n{at + 100},1\n{bad}")

    def load(engine: bf.Engine) -> list[Any]:
        report = engine.trigger_many(
            tmp_path / "orders-*.csv", foreign_id="number", on_invalid="skip"
        )
        found = engine.rejected().select("foreign_id", "source_row").fetchall()
        assert report.skipped_invalid == len(found)
        return found

    rejected = in_each(tmp_path, load)
    expected = {bf.shard_of(7, SHARDS): [("7", 2)]}
    expected[1] = [*expected.get(1, []), (None, 3)]
    assert rejected == [expected.get(shard, []) for shard in range(1, SHARDS + 1)]


def test_the_run_of_another_shard_is_refused_with_the_shard_that_has_it(tmp_path: Path) -> None:
    owner = bf.shard_of("order-1", SHARDS)
    other = owner % SHARDS + 1
    with (
        engine_of(tmp_path, other) as engine,
        pytest.raises(bf.LoadError, match=f"Shard {owner}/2 has the runs .* 'order-1'"),
    ):
        engine.trigger("order-1", Order(1))
    with engine_of(tmp_path, owner) as engine:
        engine.trigger("order-1", Order(1))


def test_sql_that_reads_the_tables_of_one_shard_is_refused(tmp_path: Path) -> None:
    with (
        engine_of(tmp_path, 2) as engine,
        pytest.raises(bf.SourceError, match="reads the tables of shard 2/2"),
    ):
        engine.trigger_many("SELECT number FROM orders.runs", foreign_id="number")


def test_run_ids_of_all_shards_are_distinct_and_begin_alike(tmp_path: Path) -> None:
    def load(engine: bf.Engine) -> list[Any]:
        engine.trigger_many(f"SELECT range AS number FROM range({ROWS})", foreign_id="number")
        return [run_id for (run_id,) in engine.runs().select("run_id").fetchall()]

    every = [run_id for found in in_each(tmp_path, load) for run_id in found]
    assert len(set(every)) == ROWS
    assert len({run_id.int >> 48 for run_id in every}) == 1


def test_a_shard_runs_its_own_runs_to_the_end(tmp_path: Path) -> None:
    def run(engine: bf.Engine) -> dict[Any, int]:
        engine.trigger_many(f"SELECT range AS number FROM range({ROWS})", foreign_id="number")
        engine.run(progress=False)
        return {tuple(row[:2]): row[2] for row in engine.counts().fetchall()}

    counts = in_each(tmp_path, run)
    failed = len(range(0, ROWS, 7))
    assert sum(each["NEW", "PAUSED"] for each in counts) == failed
    assert sum(each["DONE", "COMPLETED"] for each in counts) == ROWS - failed


def test_engines_that_start_at_the_same_time_create_one_set(tmp_path: Path) -> None:
    def workflows(shard: int) -> tuple[str, ...]:
        with engine_of(tmp_path, shard, 4) as engine:
            return engine.workflows

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(workflows, range(1, 5))) == [("orders",)] * 4
    assert bf.Stores(pattern_in(tmp_path)).shards == 4
    assert len(list(tmp_path.iterdir())) == 4


def test_the_number_of_shards_is_fixed_at_creation(tmp_path: Path) -> None:
    with engine_of(tmp_path, 1):
        pass

    with pytest.raises(bf.StoreFormatError, match=r"is shard 1/2, not shard 1/8.*reshard"):
        engine_of(tmp_path, 1, 8)
    with pytest.raises(bf.StoreFormatError, match=r"lacks night-3.duckdb.*night-1.duckdb"):
        engine_of(tmp_path, 5, 8)


def test_files_that_are_mixed_up_are_refused(tmp_path: Path) -> None:
    with engine_of(tmp_path, 1):
        pass
    (tmp_path / "night-2.duckdb").replace(tmp_path / "night-1.duckdb")
    with pytest.raises(bf.StoreFormatError, match="is shard 2/2, not shard 1/2"):
        engine_of(tmp_path, 1)

    with bf.Engine(tmp_path / "night-2.duckdb", orders(), workers=0):
        pass
    with pytest.raises(bf.StoreFormatError, match="is a store by itself and no shard"):
        engine_of(tmp_path, 2)


@pytest.mark.parametrize(
    ("shard", "match"),
    [
        ("0/3", "from 1 to 3"),
        ("4/3", "from 1 to 3"),
        ("1/0", "from 1 to 1000"),
        ("1/1001", "from 1 to 1000"),
        ("1", 'like "3/8"'),
        (1, 'like "3/8"'),
    ],
)
def test_a_shard_that_there_cannot_be_is_refused(shard: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(bf.InvalidOptionError, match=match):
        bf.Engine(pattern_in(tmp_path), orders(), workers=0, shard=shard)
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_and_a_number_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(bf.InvalidOptionError, match='like shard="1/4"'):
        bf.Engine(pattern_in(tmp_path), orders(), workers=0)
    with pytest.raises(bf.InvalidOptionError, match="in the name of the file"):
        bf.Engine(tmp_path / "night.duckdb", orders(), workers=0, shard="1/4")


def test_a_workflow_may_have_the_name_that_a_new_file_has_in_duckdb(tmp_path: Path) -> None:
    workflow = things(name="unfinished")
    stores = bf.Stores(tmp_path / "night-{shard}.duckdb", workflow, shards=2)
    stores.trigger_many([Thing(1)], foreign_id="number")
    assert stores.counts().fetchall() == [("NEW", "INITIATED", 1)]

"""Run a million orders in one store and over shards, and compare the counts and the logs.

python benchmarks/sharded_night.py --runs=1000000 --shards=4

Each store has an engine in a process of its own; those of the shards run at the same time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import batchflow as bf
import orders

# The log without its times, and the runs: how many rows, and the XOR of their hashes, which depends
# neither on their order nor on their store.
_LOG = """
    SELECT count(*) AS rows, bit_xor(hash(foreign_id, from_status, to_status, outcome, t.version))
        AS hashed
    FROM orders.transitions AS t JOIN orders.runs USING (seq)"""
_OBJECTS = """
    SELECT count(*) AS rows,
        bit_xor(hash(foreign_id, status, run_state, version, total, charge_id, tracking)) AS hashed
    FROM orders.runs"""
_SUMS = "SELECT sum(rows)::BIGINT, bit_xor(hashed) FROM {rows}"


def run_engine(store: str, shard: str, source: str, workers: int) -> None:
    """Load the orders of a store and run them; print the seconds of both."""
    chosen = shard or None
    with bf.Engine(store, orders.batch_orders(), workers=workers, shard=chosen) as engine:
        began = time.perf_counter()
        engine.trigger_many(source, foreign_id="order_id")
        loaded = time.perf_counter()
        engine.run(progress=False)
        ended = time.perf_counter()
    print(f"{loaded - began:.2f} {ended - loaded:.2f}")


def run_all(store: str, shards: list[str], source: Path, workers: int) -> float:
    """Run the engines of all shards at the same time; return the seconds."""
    began = time.perf_counter()
    engines = [
        subprocess.Popen(
            [sys.executable, __file__, "--engine", store, shard, str(source), str(workers)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for shard in shards
    ]
    for shard, engine in zip(shards, engines, strict=True):
        written, _ = engine.communicate()
        if engine.returncode:
            raise SystemExit(
                f"The engine of shard {shard or '1/1'} ended with {engine.returncode}."
            )
        load, drain = written.split()
        print(f"  {shard or 'one store'}: load {load} s, run {drain} s")
    return time.perf_counter() - began


def main() -> None:
    """Run both, and compare them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=1_000_000)
    options.add_argument("--shards", type=int, default=4)
    options.add_argument("--workers", type=int, default=0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchflow-shards-") as folder:
        source, pattern = Path(folder, "orders.parquet"), f"{folder}/night-{{shard}}.duckdb"
        orders.write_orders(source, given.runs)
        alone = run_all(f"{folder}/alone.duckdb", [""], source, given.workers)
        names = [f"{number}/{given.shards}" for number in range(1, given.shards + 1)]
        sharded = run_all(pattern, names, source, given.workers)
        print(f"one store {alone:.2f} s, {given.shards} shards at the same time {sharded:.2f} s")

        one, all_shards = bf.connect(f"{folder}/alone.duckdb"), bf.Stores(pattern)
        began = time.perf_counter()
        counts = all_shards.counts().fetchall()
        asked = time.perf_counter()
        durations = all_shards.durations().fetchall()
        print(f"counts() {asked - began:.2f} s, durations() {time.perf_counter() - asked:.2f} s")
        assert counts == one.counts().fetchall()
        assert [row[:2] for row in durations] == [row[:2] for row in one.durations().fetchall()]
        for each in (_LOG, _OBJECTS):
            of_one = one.sql(_SUMS.format(rows=f"({each})")).fetchall()
            of_all = all_shards.sql(each=each, then=_SUMS.format(rows="shards")).fetchall()
            assert of_one == of_all, (of_one, of_all)
            print(f"the same {of_one[0][0]:,} rows")
        began = time.perf_counter()
        all_shards.reshard(given.shards + 2)
        print(f"reshard into {given.shards + 2}: {time.perf_counter() - began:.2f} s")
        assert all_shards.counts().fetchall() == counts
        assert all_shards.check().ok


if __name__ == "__main__":
    if sys.argv[1:2] == ["--engine"]:
        run_engine(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()

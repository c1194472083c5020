"""The hand-written baselines of nested data. See `baselines.py` for their rules."""

from __future__ import annotations

import gc
import time
from itertools import chain, pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shipments
from baselines import BATCH_ROWS, CHECKPOINT_THRESHOLD
from sample import Sample
from shipments import Scan, Shipment, ShipmentRun, ShipmentStatus

LOOP_ROWS = 10_000


class _InMemoryRun:
    __slots__ = ("object",)
    object: Shipment


def plain_loop(source: str) -> Sample:
    """Call the row step for dataclasses that are made from Arrow and go back to it; store nothing.

    The columns are converted column by column, and the garbage collector is off, which is faster.
    """
    gc.disable()
    table = pq.read_table(source).combine_chunks()
    began = time.perf_counter()
    arrived = 0
    for first in range(0, table.num_rows, LOOP_ROWS):
        part = table.slice(first, LOOP_ROWS)
        arrived += len(_arrived(part["shipment_id"].chunk(0), part["scans"].chunk(0)))
    return Sample(time.perf_counter() - began, {ShipmentStatus.ARRIVED.name: arrived})


def _arrived(ids: pa.StringArray, scans: pa.ListArray) -> pa.ListArray:
    run: ShipmentRun = _InMemoryRun()
    items, offsets = scans.flatten(), scans.offsets.to_numpy()
    made = list(map(Scan, items.field("place").to_pylist(), items.field("seconds").to_pylist()))
    spans = pairwise((offsets - offsets[0]).tolist())
    left = []
    for shipment_id, (start, stop) in zip(ids.to_pylist(), spans, strict=True):
        run.object = Shipment(shipment_id, made[start:stop])
        shipments.arrive(run)
        left.append(run.object.scans)
    all_scans = list(chain.from_iterable(left))
    stops = np.cumsum([0, *map(len, left)], dtype=np.int32)
    places = pa.array([scan.place for scan in all_scans])
    seconds = pa.array([scan.seconds for scan in all_scans])
    structs = pa.StructArray.from_arrays([places, seconds], ["place", "seconds"])
    return pa.ListArray.from_arrays(pa.array(stops), structs)


def load_and_update(store: str, source: str) -> Sample:
    """Load a new store; write the scans with one UPDATE and one INSERT for each 250,000 runs."""
    with duckdb.connect(store, config={"checkpoint_threshold": CHECKPOINT_THRESHOLD}) as connection:
        connection.execute("CREATE TYPE shipment_status AS ENUM ('SENT', 'ARRIVED')")
        connection.execute(
            f"""
            CREATE TABLE runs AS
            SELECT row_number() OVER ()::BIGINT AS seq, 'SENT'::shipment_status AS status,
                   0::INTEGER AS version, shipment_id, scans
            FROM '{source}'
            """
        )
        connection.execute(
            """
            CREATE TABLE transitions (
                seq BIGINT, from_status shipment_status, to_status shipment_status,
                committed_at TIMESTAMPTZ
            )
            """
        )
        connection.execute("CHECKPOINT")
        [(last,)] = connection.sql("SELECT max(seq) FROM runs").fetchall()
        began = time.perf_counter()
        for first in range(1, last + 1, BATCH_ROWS):
            _update(connection, first, first + BATCH_ROWS - 1)
        seconds = time.perf_counter() - began
        counted = "SELECT status::VARCHAR, count(*) FROM runs GROUP BY ALL"
        return Sample(seconds, dict(connection.sql(counted).fetchall()))


def _update(connection: duckdb.DuckDBPyConnection, first: int, last: int) -> None:
    within = f"seq BETWEEN {first} AND {last}"
    claimed = f"SELECT seq, scans FROM runs WHERE status = 'SENT' AND {within}"
    connection.register("staged", connection.sql(claimed).to_arrow_table())
    connection.execute("BEGIN")
    connection.execute(
        f"""
        UPDATE runs AS r
        SET status = 'ARRIVED', version = r.version + 1, scans = s.scans
        FROM staged AS s
        WHERE r.seq = s.seq AND r.{within} AND r.status = 'SENT'
        """
    )
    connection.execute("INSERT INTO transitions SELECT seq, 'SENT', 'ARRIVED', now() FROM staged")
    connection.execute("COMMIT")
    connection.unregister("staged")

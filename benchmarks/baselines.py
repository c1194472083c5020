"""The hand-written baselines that the engine is compared with.

Each does its work once and returns a `Sample`. The clock starts after its input (a loaded table, a
list of dataclasses) is ready. The time includes opening a connection or a pool, as it does for the
engine.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import orders
from orders import Order, OrderRun, OrderStatus
from sample import Sample

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 250_000
CHECKPOINT_THRESHOLD = "256MB"  # As the engine sets it.
STATUS_ENUM = ", ".join(f"'{status.name}'" for status in OrderStatus)


# Row steps: a process pool over dataclasses in memory; nothing is stored.


class _InMemoryRun:
    __slots__ = ("object",)
    object: Order


# One for each worker process rather than one for each order.
_RUN = cast("OrderRun", _InMemoryRun())


def advance(order: Order) -> tuple[OrderStatus, Order]:
    """Take one order through its three steps."""
    _RUN.object = order
    status = orders.validate(_RUN)
    if status is OrderStatus.VALIDATED:
        status = orders.charge(_RUN)
        if status is OrderStatus.PAID:
            status = orders.ship(_RUN)
    return status, order


def pool_in_memory(source: str, workers: int, chunk_rows: int) -> Sample:
    """Send every order through a `multiprocessing.Pool` and count what comes back.

    Workers are forked, and the garbage collector is off in all processes. Both make it faster.
    """
    gc.disable()
    columns = pq.read_table(source, columns=list(orders.SOURCE_COLUMNS)).to_pydict()
    waiting = list(map(Order, *(columns[name] for name in orders.SOURCE_COLUMNS)))
    counts: Counter[OrderStatus] = Counter()
    began = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for status, _ in pool.imap_unordered(advance, waiting, chunksize=chunk_rows):
            counts[status] += 1
        seconds = time.perf_counter() - began
    return Sample(seconds, {status.name: count for status, count in counts.items()})


# Batch and SQL steps: one table of runs and one of transitions, in a file.


def make_table(source: str, store: str) -> Sample:
    """Load the orders into a table that the baselines of batch and SQL steps use."""
    with _connect(store) as connection:
        connection.execute(f"CREATE TYPE order_status AS ENUM ({STATUS_ENUM})")
        connection.execute(
            f"""
            CREATE TABLE runs AS
            SELECT row_number() OVER ()::BIGINT AS seq, 'CREATED'::order_status AS status,
                   0::INTEGER AS version, order_id, subtotal, items, method, 0.0::DOUBLE AS total,
                   NULL::VARCHAR AS charge_id, NULL::TIMESTAMP AS paid_at,
                   NULL::VARCHAR AS tracking
            FROM '{source}'
            """
        )
        connection.execute(
            """
            CREATE TABLE transitions (
                seq BIGINT, from_status order_status, to_status order_status,
                committed_at TIMESTAMPTZ
            )
            """
        )
        connection.execute("CHECKPOINT")
    return Sample(0.0, {})


def load_and_advance(store: str, source: str, how: str) -> Sample:
    """Load a new store and advance its orders by `how`. The time is that of advancing them."""
    make_table(source, store)
    ways = {
        "batches": batches_inline,
        "batches in one pass": batches_in_one_pass,
        "sql": sql_by_hand,
        "sql in one pass": sql_in_one_pass,
    }
    return ways[how](store)


Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _BatchStep:
    status: OrderStatus
    reads: tuple[str, ...]
    writes: str
    function: Callable[[Columns], tuple[np.ndarray, np.ndarray]]


def _validate(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    filled = columns["items"] != 0
    codes = np.where(filled, _code(OrderStatus.VALIDATED), _code(OrderStatus.REJECTED))
    return codes, np.where(filled, columns["subtotal"] * orders.TAX_FACTOR, 0.0)


def _charge(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    ok = columns["method"] != "invalid"
    codes = np.where(ok, _code(OrderStatus.PAID), _code(OrderStatus.PAYMENT_FAILED))
    return codes, np.where(ok, "ch_" + columns["order_id"], None)


def _ship(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    order_ids = columns["order_id"]
    return np.full(len(order_ids), _code(OrderStatus.FULFILLED)), "TRK" + order_ids


def _code(status: OrderStatus) -> np.uint8:
    return np.uint8(list(OrderStatus).index(status))


_BATCH_STEPS = (
    _BatchStep(OrderStatus.CREATED, ("items", "subtotal"), "total", _validate),
    _BatchStep(OrderStatus.VALIDATED, ("order_id", "method"), "charge_id", _charge),
    _BatchStep(OrderStatus.PAID, ("order_id",), "tracking", _ship),
)


def batches_inline(store: str) -> Sample:
    """Claim, compute with NumPy, write with one UPDATE and one INSERT, 250,000 runs at a time."""
    began = time.perf_counter()
    with _connect(store) as connection:
        last_seq = _one(connection, "SELECT max(seq) FROM runs")
        for step in _BATCH_STEPS:
            for first, last in _ranges(last_seq):
                _advance_batch(connection, step, first, last)
        return _finished(connection, began)


def batches_in_one_pass(store: str) -> Sample:
    """Do the same with one claim, one UPDATE and one INSERT for all three steps of 250,000 runs."""
    began = time.perf_counter()
    with _connect(store) as connection:
        last_seq = _one(connection, "SELECT max(seq) FROM runs")
        for first, last in _ranges(last_seq):
            _advance_to_the_end(connection, first, last)
        return _finished(connection, began)


def _advance_to_the_end(connection: duckdb.DuckDBPyConnection, first: int, last: int) -> None:
    claimed = connection.sql(
        f"""
        SELECT seq, items, subtotal, method, order_id FROM runs
        WHERE status = 'CREATED' AND seq BETWEEN {first} AND {last}
        """
    ).to_arrow_table()
    columns = {name: claimed[name].to_numpy() for name in claimed.column_names}
    # Each step computes for the runs that reached it.
    at, codes = np.arange(claimed.num_rows), np.full(claimed.num_rows, _code(OrderStatus.CREATED))
    versions = np.zeros(claimed.num_rows, np.int32)
    staged: dict[str, pa.Array] = {"seq": claimed["seq"]}
    moves: list[tuple[np.ndarray, OrderStatus, np.ndarray]] = []
    for step in _BATCH_STEPS:
        at = at[codes[at] == _code(step.status)]
        reads = {name: columns[name][at] for name in step.reads}
        codes[at], values = step.function(reads)
        versions[at] += 1
        whole = np.zeros(claimed.num_rows) if step.writes == "total" else _none(claimed.num_rows)
        whole[at] = values
        staged[step.writes] = pa.array(whole)
        moves.append((columns["seq"][at], step.status, codes[at]))
    staged["code"], staged["moves"] = pa.array(codes), pa.array(versions)
    connection.register("staged", pa.table(staged))
    connection.register("moved", _moved(moves))
    connection.execute("BEGIN")
    connection.execute(
        f"""
        UPDATE runs AS r
        SET status = {_STATUS_OF_CODE}, version = r.version + s.moves, total = s.total,
            charge_id = s.charge_id, tracking = s.tracking
        FROM staged AS s
        WHERE r.seq = s.seq AND r.seq BETWEEN {first} AND {last} AND r.status = 'CREATED'
        """
    )
    connection.execute(
        f"""
        INSERT INTO transitions
        SELECT s.seq, {_STATUS_OF_CODE.replace("s.code", "s.from_code")}, {_STATUS_OF_CODE}, now()
        FROM moved AS s
        """
    )
    connection.execute("COMMIT")
    connection.unregister("staged")
    connection.unregister("moved")


def _none(rows: int) -> np.ndarray:
    return np.full(rows, None, np.object_)


def _moved(moves: list[tuple[np.ndarray, OrderStatus, np.ndarray]]) -> pa.Table:
    came_from = [np.full(len(seqs), _code(status)) for seqs, status, _ in moves]
    return pa.table(
        {
            "seq": np.concatenate([seqs for seqs, _, _ in moves]),
            "from_code": np.concatenate(came_from),
            "code": np.concatenate([codes for _, _, codes in moves]),
        }
    )


def _ranges(last_seq: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of seqs: DuckDB reads only these rows, while LIMIT starts at the first row."""
    for first in range(1, last_seq + 1, BATCH_ROWS):
        yield first, first + BATCH_ROWS - 1


def _advance_batch(
    connection: duckdb.DuckDBPyConnection, step: _BatchStep, first: int, last: int
) -> None:
    claimed = connection.sql(
        f"""
        SELECT seq, {", ".join(step.reads)} FROM runs
        WHERE status = '{step.status.name}' AND seq BETWEEN {first} AND {last}
        """
    ).to_arrow_table()
    codes, values = step.function({name: claimed[name].to_numpy() for name in step.reads})
    staged = pa.table({"seq": claimed["seq"], "code": codes, "value": pa.array(values)})
    connection.register("staged", staged)
    connection.execute("BEGIN")
    connection.execute(
        f"""
        UPDATE runs AS r
        SET status = {_STATUS_OF_CODE}, version = r.version + 1, {step.writes} = s.value
        FROM staged AS s
        WHERE r.seq = s.seq AND r.seq BETWEEN {first} AND {last} AND r.status = '{step.status.name}'
        """
    )
    connection.execute(
        f"""
        INSERT INTO transitions
        SELECT s.seq, '{step.status.name}', {_STATUS_OF_CODE}, now() FROM staged AS s
        """
    )
    connection.execute("COMMIT")
    connection.unregister("staged")


_STATUS_OF_CODE = " ".join(
    [
        "CASE s.code",
        *(f"WHEN {_code(s)} THEN '{s.name}'::order_status" for s in OrderStatus),
        "END",
    ]
)


@dataclass(frozen=True)
class _SqlStep:
    status: OrderStatus
    to: str
    writes: str
    value: str


_SQL_STEPS = (
    _SqlStep(
        OrderStatus.CREATED,
        "CASE WHEN items = 0 THEN 'REJECTED'::order_status ELSE 'VALIDATED'::order_status END",
        "total",
        f"CASE WHEN items = 0 THEN 0.0 ELSE subtotal * {orders.TAX_FACTOR} END",
    ),
    _SqlStep(
        OrderStatus.VALIDATED,
        "CASE WHEN method = 'invalid' THEN 'PAYMENT_FAILED'::order_status"
        " ELSE 'PAID'::order_status END",
        "charge_id",
        "CASE WHEN method <> 'invalid' THEN 'ch_' || order_id END",
    ),
    _SqlStep(OrderStatus.PAID, "'FULFILLED'::order_status", "tracking", "'TRK' || order_id"),
)


def sql_by_hand(store: str) -> Sample:
    """Advance all runs of a status with one INSERT of their transitions and one UPDATE."""
    began = time.perf_counter()
    with _connect(store) as connection:
        # This takes half the time of UPDATE ... RETURNING into INSERT.
        connection.execute("SET preserve_insertion_order = false")
        for step in _SQL_STEPS:
            at = step.status.name
            connection.execute("BEGIN")
            connection.execute(
                f"""
                INSERT INTO transitions
                SELECT seq, '{at}', {step.to}, now() FROM runs WHERE status = '{at}'
                """
            )
            connection.execute(
                f"""
                UPDATE runs
                SET status = {step.to}, version = version + 1, {step.writes} = {step.value}
                WHERE status = '{at}'
                """
            )
            connection.execute("COMMIT")
        return _finished(connection, began)


_ENDS = (
    "CASE WHEN items = 0 THEN 'REJECTED'::order_status"
    " WHEN method = 'invalid' THEN 'PAYMENT_FAILED'::order_status"
    " ELSE 'FULFILLED'::order_status END"
)
_IS_PAID = "items <> 0 AND method <> 'invalid'"


def sql_in_one_pass(store: str) -> Sample:
    """Do the same with one UPDATE for all three steps. It knows how each run will end."""
    validate, charge, ship = _SQL_STEPS
    began = time.perf_counter()
    with _connect(store) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("BEGIN")
        # Three INSERTs take less time than one of a UNION ALL.
        for step, reached in ((validate, "true"), (charge, "items <> 0"), (ship, _IS_PAID)):
            connection.execute(
                f"""
                INSERT INTO transitions
                SELECT seq, '{step.status.name}', {step.to}, now() FROM runs
                WHERE status = 'CREATED' AND {reached}
                """
            )
        connection.execute(
            f"""
            UPDATE runs
            SET status = {_ENDS},
                version = version
                    + CASE WHEN items = 0 THEN 1 WHEN method = 'invalid' THEN 2 ELSE 3 END,
                {validate.writes} = {validate.value},
                {charge.writes} = CASE WHEN {_IS_PAID} THEN 'ch_' || order_id END,
                {ship.writes} = CASE WHEN {_IS_PAID} THEN {ship.value} END
            WHERE status = 'CREATED'
            """
        )
        connection.execute("COMMIT")
        return _finished(connection, began)


def create_table_as(source: str, store: str) -> Sample:
    """Load the source's columns, without checks and without keys."""
    columns = ", ".join(orders.SOURCE_COLUMNS)
    began = time.perf_counter()
    with _connect(store) as connection:
        connection.execute(f"CREATE TABLE orders AS SELECT {columns} FROM '{source}'")
        seconds = time.perf_counter() - began
        return Sample(seconds, {"loaded": _one(connection, "SELECT count(*) FROM orders")})


def _connect(store: str) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(store, config={"checkpoint_threshold": CHECKPOINT_THRESHOLD})


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.sql(query).fetchall()[0][0])


def _finished(connection: duckdb.DuckDBPyConnection, began: float) -> Sample:
    seconds = time.perf_counter() - began
    counts = connection.sql("SELECT status::VARCHAR, count(*) FROM runs GROUP BY ALL").fetchall()
    return Sample(seconds, dict(counts))

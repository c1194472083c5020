"""The orders of the benchmarks: their generator, their steps and their workflows.

The row steps and the batch steps take a protocol, so that the baselines call the same functions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

import batchflow as bf


class OrderStatus(enum.Enum):
    """The statuses of an order."""

    CREATED = "created"
    VALIDATED = "validated"
    REJECTED = "rejected"
    PAID = "paid"
    PAYMENT_FAILED = "payment failed"
    FULFILLED = "fulfilled"


@dataclass
class Order:
    """One order; the first four fields come from the source, the steps fill in the others."""

    order_id: str
    subtotal: float
    items: int
    method: str
    total: float = 0.0
    charge_id: str | None = None
    paid_at: datetime | None = None
    tracking: str | None = None


OrderWorkflow: TypeAlias = "bf.Workflow[Order, OrderStatus]"
Column = np.ndarray[Any, np.dtype[Any]]

SOURCE_COLUMNS = ("order_id", "subtotal", "items", "method")
TAX_FACTOR = 1.08


class OrderRun(Protocol):
    """The part of a run that the row steps need."""

    object: Order


class OrderColumns(Protocol):
    """The part of a batch that the batch steps need; a dict of columns is enough."""

    def __getitem__(self, field: str, /) -> Column: ...
    def __setitem__(self, field: str, values: Column, /) -> None: ...


def validate(run: OrderRun) -> OrderStatus:
    """Reject an order without items; give the others their total."""
    if run.object.items == 0:
        return OrderStatus.REJECTED
    run.object.total = run.object.subtotal * TAX_FACTOR
    return OrderStatus.VALIDATED


def charge(run: OrderRun) -> OrderStatus:
    """Charge an order, unless its method of payment is invalid."""
    if run.object.method == "invalid":
        return OrderStatus.PAYMENT_FAILED
    run.object.charge_id = "ch_" + run.object.order_id
    return OrderStatus.PAID


def ship(run: OrderRun) -> OrderStatus:
    """Give an order its tracking number."""
    run.object.tracking = "TRK" + run.object.order_id
    return OrderStatus.FULFILLED


def validate_batch(batch: OrderColumns) -> Column:
    """Do the same as `validate`, by columns."""
    filled = batch["items"] != 0
    batch["total"] = np.where(filled, batch["subtotal"] * TAX_FACTOR, 0.0)
    return np.where(filled, OrderStatus.VALIDATED, OrderStatus.REJECTED)


def charge_batch(batch: OrderColumns) -> Column:
    """Do the same as `charge`, by columns."""
    ok = batch["method"] != "invalid"
    batch["charge_id"] = np.where(ok, "ch_" + batch["order_id"], None)
    return np.where(ok, OrderStatus.PAID, OrderStatus.PAYMENT_FAILED)


def ship_batch(batch: OrderColumns) -> OrderStatus:
    """Do the same as `ship`, by columns."""
    batch["tracking"] = "TRK" + batch["order_id"]
    return OrderStatus.FULFILLED


def row_orders(*, visits: bool = True, commit: Literal["after"] | None = None) -> OrderWorkflow:
    """Make the workflow of three row steps."""
    orders = bf.Workflow("orders", Order, OrderStatus, visits=visits)
    s = OrderStatus
    orders.add_step(s.CREATED, validate, s.VALIDATED, s.REJECTED, commit=commit)
    orders.add_step(s.VALIDATED, charge, s.PAID, s.PAYMENT_FAILED, commit=commit)
    orders.add_step(s.PAID, ship, s.FULFILLED, commit=commit)
    return orders


def batch_orders() -> OrderWorkflow:
    """Make the workflow of three batch steps."""
    orders = bf.Workflow("orders", Order, OrderStatus)
    s = OrderStatus
    orders.batch_step(s.CREATED, to=[s.VALIDATED, s.REJECTED], columns=["items", "subtotal"])(
        validate_batch
    )
    orders.batch_step(s.VALIDATED, to=[s.PAID, s.PAYMENT_FAILED], columns=["order_id", "method"])(
        charge_batch
    )
    orders.batch_step(s.PAID, to=[s.FULFILLED], columns=["order_id"])(ship_batch)
    return orders


def sql_orders() -> OrderWorkflow:
    """Make the workflow of three SQL steps."""
    orders = bf.Workflow("orders", Order, OrderStatus)
    s = OrderStatus
    orders.sql_step(
        s.CREATED,
        to=[s.VALIDATED, s.REJECTED],
        set={"total": f"CASE WHEN items = 0 THEN 0.0 ELSE subtotal * {TAX_FACTOR} END"},
        status="CASE WHEN items = 0 THEN 'REJECTED' ELSE 'VALIDATED' END",
    )
    orders.sql_step(
        s.VALIDATED,
        to=[s.PAID, s.PAYMENT_FAILED],
        set={"charge_id": "CASE WHEN method <> 'invalid' THEN 'ch_' || order_id END"},
        status="CASE WHEN method = 'invalid' THEN 'PAYMENT_FAILED' ELSE 'PAID' END",
    )
    orders.sql_step(
        s.PAID, to=[s.FULFILLED], set={"tracking": "'TRK' || order_id"}, status="FULFILLED"
    )
    return orders


def write_orders(path: Path, count: int, *, scattered: bool = False) -> None:
    """Write orders 0 to `count` - 1 as Parquet, the same ones each time.

    Two in a hundred have no items and one in a hundred cannot be paid for. Their ids ascend, unless
    they are `scattered`.
    """
    import duckdb

    order = "ORDER BY scattered, i" if scattered else ""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (
                WITH numbers AS (
                    SELECT i, (i * 2654435761) % 4294967296 AS scattered FROM range({count}) t(i)
                )
                SELECT
                    format('order-{{:09d}}', i) AS order_id,
                    round(5 + (scattered % 49500) / 100.0, 2)::DOUBLE AS subtotal,
                    CASE WHEN scattered // 64 % 50 = 0 THEN 0
                         ELSE 1 + scattered // 4096 % 9 END::BIGINT AS items,
                    CASE WHEN scattered // 1024 % 100 = 0 THEN 'invalid'
                         WHEN scattered // 1024 % 3 = 0 THEN 'card'
                         WHEN scattered // 1024 % 3 = 1 THEN 'paypal'
                         ELSE 'invoice' END AS method
                FROM numbers {order}
            ) TO '{path}' (FORMAT parquet)
            """
        )

"""The demo's workflow: an order is validated by rows, charged by columns, and shipped in SQL."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import batchflow as bf

TAX_FACTOR = 1.08
COUPONS = {"WELCOME": 0.10, "SPRING": 0.15, "FRIENDS": 0.25}


class OrderStatus(enum.Enum):
    """Where an order stands."""

    CREATED = "created"
    VALIDATED = "validated"
    REJECTED = "rejected"
    PAID = "paid"
    PAYMENT_FAILED = "payment failed"
    FULFILLED = "fulfilled"


@dataclass
class Order:
    """One order; the first five fields come from the file, the steps fill in the others."""

    order_id: str
    subtotal: float
    items: int
    method: str
    coupon: str | None = None
    total: float = 0.0
    charge_id: str | None = None
    tracking: str | None = None


orders = bf.Workflow(
    "orders",
    Order,
    OrderStatus,
    # Short, as somebody is watching; what keeps failing is paused after a second.
    retry=bf.Retry(backoff_seconds=0.2, pause_after=3),
)


@orders.step(OrderStatus.CREATED, to=[OrderStatus.VALIDATED, OrderStatus.REJECTED])
def validate(run: bf.Run[Order, OrderStatus]) -> OrderStatus:
    """Reject an order without items; give the others their total.

    A coupon that nobody has heard of is a KeyError, as it would be in life: it fails that order
    and no other.
    """
    order = run.object
    if order.items == 0:
        return OrderStatus.REJECTED
    coupon = order.coupon
    rebate = 0.0 if coupon is None else COUPONS[coupon]
    order.total = order.subtotal * (1.0 - rebate) * TAX_FACTOR
    return OrderStatus.VALIDATED


@orders.batch_step(
    OrderStatus.VALIDATED,
    to=[OrderStatus.PAID, OrderStatus.PAYMENT_FAILED],
    columns=["order_id", "method"],
)
def charge(batch: bf.Batch[Order, OrderStatus]) -> NDArray[np.str_]:
    """Charge every order whose method of payment is a valid one."""
    valid = batch["method"] != "invalid"
    charges = "ch_" + batch["order_id"]
    charges[~valid] = None
    batch["charge_id"] = charges
    return np.where(valid, OrderStatus.PAID.name, OrderStatus.PAYMENT_FAILED.name)


orders.sql_step(
    OrderStatus.PAID,
    to=[OrderStatus.FULFILLED],
    set={"tracking": "'TRK' || order_id"},
    status=OrderStatus.FULFILLED,
)

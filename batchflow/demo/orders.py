"""The workflow of the demo: a row step validates, a batch step charges, and SQL fulfils."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import batchflow as bf

TAX_FACTOR = 1.08
COUPONS = {"WELCOME": 0.10, "SPRING": 0.15, "FRIENDS": 0.25}


class OrderStatus(enum.Enum):
    """The status of an order."""

    CREATED = "created"
    VALIDATED = "validated"
    REJECTED = "rejected"
    PAID = "paid"
    PAYMENT_FAILED = "payment failed"
    FULFILLED = "fulfilled"


@dataclass
class Order:
    """One order; the file has the first five fields, and the steps set the others."""

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
    # A user watches the demo: runs that keep failing are paused within a second.
    retry=bf.Retry(backoff_seconds=0.2, pause_after=3),
)


@orders.step(OrderStatus.CREATED, to=[OrderStatus.VALIDATED, OrderStatus.REJECTED])
def validate(run: bf.Run[Order, OrderStatus]) -> OrderStatus:
    """Reject orders without items, and compute the total of the others.

    An unknown coupon raises KeyError, which fails that order and no other.
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
    """Charge the orders that have a valid payment method."""
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

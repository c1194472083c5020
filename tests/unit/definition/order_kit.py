"""The workflow of the README."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from batchflow.definition import Retry, Workflow


class OrderStatus(enum.Enum):
    CREATED = "created"
    VALIDATED = "validated"
    REJECTED = "rejected"
    PAID = "paid"
    PAYMENT_FAILED = "payment failed"
    FULFILLED = "fulfilled"


@dataclass
class Order:
    order_id: str
    subtotal: float
    items: int
    method: str
    total: float = 0.0
    charge_id: str | None = None
    paid_at: datetime | None = None
    tracking: str | None = None


def make_orders() -> Workflow[Order, OrderStatus]:
    """Return the workflow of the README, which isn't checked yet."""
    workflow = Workflow("orders", Order, OrderStatus)

    @workflow.step(OrderStatus.CREATED, to=[OrderStatus.VALIDATED, OrderStatus.REJECTED])
    def validate(run: Any) -> OrderStatus:
        if run.object.items == 0:
            return OrderStatus.REJECTED
        run.object.total = run.object.subtotal * 1.08
        return OrderStatus.VALIDATED

    @workflow.batch_step(
        OrderStatus.VALIDATED,
        to=[OrderStatus.PAID, OrderStatus.PAYMENT_FAILED],
        columns=["order_id", "method"],
        parallel=2,
        retry=Retry(backoff_seconds=30, pause_after=5),
    )
    def charge(batch: Any) -> Any:
        ok = batch["method"] != "invalid"
        batch["charge_id"] = np.where(ok, "ch_" + batch["order_id"], None)
        return np.where(ok, OrderStatus.PAID, OrderStatus.PAYMENT_FAILED)

    workflow.sql_step(
        OrderStatus.PAID,
        to=[OrderStatus.FULFILLED],
        set={"tracking": "'TRK' || order_id"},
        status="FULFILLED",
    )
    return workflow

"""Orders of which some crash the process that executes their step."""

from __future__ import annotations

import os
import signal
from functools import partial

import batchflow as bf
import orders
from orders import Column, Order, OrderColumns, OrderRun, OrderStatus, OrderWorkflow


def crashing_ids(runs: int, crashing: int) -> frozenset[str]:
    """Return the ids of some orders, evenly distributed among all."""
    return frozenset(f"order-{(2 * i + 1) * runs // (2 * crashing):09d}" for i in range(crashing))


def validate(run: OrderRun, crashing: frozenset[str]) -> OrderStatus:
    """Validate an order, or kill the process."""
    if run.object.order_id in crashing:
        os.kill(os.getpid(), signal.SIGKILL)
    return orders.validate(run)


def validate_batch(batch: OrderColumns, crashing: frozenset[str]) -> Column:
    """Validate a batch of orders, or kill the process."""
    if crashing.intersection(batch["order_id"].tolist()):
        os.kill(os.getpid(), signal.SIGKILL)
    return orders.validate_batch(batch)


def workflow_with_crashes(steps: str, crashing: frozenset[str]) -> OrderWorkflow:
    """Return a workflow of three steps, of which the first crashes at some orders."""
    workflow = bf.Workflow("orders", Order, OrderStatus, retry=bf.Retry(pause_after=1))
    s = OrderStatus
    row = steps == "row"
    first, second, third = (
        (validate, orders.charge, orders.ship)
        if row
        else (validate_batch, orders.charge_batch, orders.ship_batch)
    )
    validated = partial(first, crashing=crashing)
    workflow.add_step(s.CREATED, validated, s.VALIDATED, s.REJECTED, batch=not row)
    workflow.add_step(s.VALIDATED, second, s.PAID, s.PAYMENT_FAILED, batch=not row)
    workflow.add_step(s.PAID, third, s.FULFILLED, batch=not row)
    return workflow

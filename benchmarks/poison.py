"""Orders some of which end the process that executes their step."""

from __future__ import annotations

import os
import signal
from functools import partial

import batchflow as bf
import orders
from orders import Column, Order, OrderColumns, OrderRun, OrderStatus, OrderWorkflow


def poisoned_ids(runs: int, poisoned: int) -> frozenset[str]:
    """Answer the ids of so many orders, evenly scattered among all."""
    return frozenset(f"order-{(2 * i + 1) * runs // (2 * poisoned):09d}" for i in range(poisoned))


def validate(run: OrderRun, deadly: frozenset[str]) -> OrderStatus:
    """Validate an order, or be killed."""
    if run.object.order_id in deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return orders.validate(run)


def validate_batch(batch: OrderColumns, deadly: frozenset[str]) -> Column:
    """Validate a batch of orders, or be killed."""
    if deadly.intersection(batch["order_id"].tolist()):
        os.kill(os.getpid(), signal.SIGKILL)
    return orders.validate_batch(batch)


def poisoned_orders(steps: str, deadly: frozenset[str]) -> OrderWorkflow:
    """Make the workflow of three steps, the first of which doesn't survive the deadly orders."""
    workflow = bf.Workflow("orders", Order, OrderStatus, retry=bf.Retry(pause_after=1))
    s = OrderStatus
    row = steps == "row"
    first, second, third = (
        (validate, orders.charge, orders.ship)
        if row
        else (validate_batch, orders.charge_batch, orders.ship_batch)
    )
    validated = partial(first, deadly=deadly)
    workflow.add_step(s.CREATED, validated, s.VALIDATED, s.REJECTED, batch=not row)
    workflow.add_step(s.VALIDATED, second, s.PAID, s.PAYMENT_FAILED, batch=not row)
    workflow.add_step(s.PAID, third, s.FULFILLED, batch=not row)
    return workflow

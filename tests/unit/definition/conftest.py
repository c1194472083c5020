from __future__ import annotations

import pytest
from order_kit import Order, OrderStatus, make_orders

from batchflow.definition import Workflow


@pytest.fixture
def orders() -> Workflow[Order, OrderStatus]:
    """The workflow of the README, which isn't checked yet."""
    return make_orders()

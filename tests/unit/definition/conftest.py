from __future__ import annotations

import pytest
from order_kit import Order, OrderStatus, make_orders

from batchflow.definition import Workflow


@pytest.fixture
def orders() -> Workflow[Order, OrderStatus]:
    """The workflow of the README, not yet checked."""
    return make_orders()

from __future__ import annotations

import enum
from dataclasses import dataclass

from batchflow.definition import Workflow

STATUSES = enum.Enum("STATUSES", {"end": 1, "in transit: late": 2, "done": 3, "unused": 4})


@dataclass
class Parcel:
    weight: float


def test_the_order_workflow_is_drawn(orders) -> None:
    assert orders.mermaid() == (
        "stateDiagram-v2\n"
        "    [*] --> CREATED\n"
        "    CREATED --> VALIDATED : validate\n"
        "    CREATED --> REJECTED : validate\n"
        "    VALIDATED --> PAID : charge\n"
        "    VALIDATED --> PAYMENT_FAILED : charge\n"
        "    PAID --> FULFILLED : sql PAID\n"
        "    REJECTED --> [*]\n"
        "    PAYMENT_FAILED --> [*]\n"
        "    FULFILLED --> [*]\n"
    )


def test_names_that_mermaid_cannot_show_get_another_id() -> None:
    workflow = Workflow("parcels", Parcel, STATUSES)
    end, transit, done, _ = workflow.statuses
    workflow.add_step(end, lambda _: transit, transit)
    workflow.add_step(transit, lambda _: done, done)

    assert workflow.mermaid() == (
        "stateDiagram-v2\n"
        '    state "end" as status0\n'
        '    state "in transit late" as status1\n'
        "    [*] --> status0\n"
        "    status0 --> status1 : lambda\n"
        "    status1 --> done : lambda\n"
        "    done --> [*]\n"
    )

"""Orders by whose columns runs are explained, and conditions that may be the cause of failures."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Supplier:
    name: str
    tier: int | None


@dataclass
class Order:
    order_id: str
    country: str
    currency: str
    method: str
    city: str
    amount: float
    weight: float | None
    items: int
    gift: bool
    coupon: str | None
    supplier: Supplier


COUNTRIES: Final = {"BR": "BRL", "US": "USD", "DE": "EUR", "FR": "EUR", "JP": "JPY"}


def orders() -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage)

    @workflow.step(Stage.NEW, to=[Stage.DONE])
    def finish(run: bf.Run[Order, Stage]) -> Stage:
        return Stage.DONE

    return workflow


def random_orders(runs: int, random: np.random.Generator) -> pa.Table:
    country = random.choice([*COUNTRIES], runs, p=[0.1, 0.4, 0.2, 0.2, 0.1])
    coupons = np.where(random.random(runs) < 0.8, "", _named("C", 5, runs, random))
    supplier = {"name": _named("s", 30, runs, random), "tier": random.integers(1, 5, runs)}
    return pa.table(
        {
            "order_id": [f"o{at}" for at in range(runs)],
            "country": country,
            "currency": [COUNTRIES[each] for each in country],
            "method": random.choice(["card", "invoice", "cash"], runs, p=[0.6, 0.3, 0.1]),
            "city": _named("city ", 50, runs, random),
            "amount": np.round(random.lognormal(4, 1, runs), 2),
            "weight": pa.array(random.random(runs) * 30, mask=random.random(runs) < 0.1),
            "items": random.integers(1, 9, runs),
            "gift": random.random(runs) < 0.2,
            "coupon": pa.array(coupons, mask=coupons == ""),
            "supplier": pa.StructArray.from_arrays(
                [pa.array(values) for values in supplier.values()], [*supplier]
            ),
        }
    )


def _named(prefix: str, many: int, runs: int, random: np.random.Generator) -> np.ndarray:
    return np.char.add(prefix, random.integers(0, many, runs).astype(str))


CAUSES: Final[Mapping[str, Callable[[np.random.Generator], str]]] = {
    "country": lambda random: f"country = '{random.choice(['BR', 'DE', 'FR', 'JP'])}'",
    "method": lambda random: f"method = '{random.choice(['card', 'invoice'])}'",
    "city": lambda random: f"city = 'city {random.integers(0, 50)}'",
    "items": lambda random: f"items = {random.integers(1, 9)}",
    "gift": lambda _: "gift = true",
    "coupon": lambda _: "coupon IS NOT NULL",
    "supplier": lambda random: f"supplier.name = 's{random.integers(0, 30)}'",
    "tier": lambda random: f"supplier.tier = {random.integers(1, 5)}",
    "amount": lambda random: f"amount >= {random.choice([60, 80, 120])}",
    "weight": lambda random: f"weight < {random.integers(5, 15)}",
}
"""A condition on each column, of which two together are a cause."""


def planted(random: np.random.Generator) -> tuple[str, str]:
    """Return the conditions of a cause of two columns."""
    first, second = random.choice([*CAUSES], 2, replace=False)
    return CAUSES[first](random), CAUSES[second](random)


def failed(cause: str, random: np.random.Generator) -> str:
    """Return a predicate that chooses runs as a cause would, and a few others."""
    salt, often, rarely = random.integers(1 << 30), random.integers(50, 100), random.integers(1, 4)
    return (
        "seq IN (SELECT seq FROM orders.runs WHERE "
        f"hash(seq + {salt}) % 100 < CASE WHEN {cause} THEN {often} ELSE {rarely} END)"
    )


def at_random(runs: int, random: np.random.Generator) -> str:
    """Return a predicate that chooses runs at random."""
    many = random.choice([20, 200, runs // 4])
    seqs = random.choice(runs, many, replace=False) + 1
    return f"seq IN ({', '.join(map(str, seqs))})"

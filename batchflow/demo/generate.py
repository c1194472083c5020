"""Make up orders: the same ones each time, in a Parquet file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        pa.field("order_id", pa.string(), nullable=False),
        pa.field("subtotal", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("coupon", pa.string()),
    ]
)
UNKNOWN_COUPON = "SUMMER-1999"
UNKNOWN_COUPONS_PER_MILLION = 23

_BLOCK_ROWS = 1_000_000
_METHODS = ("card", "paypal", "invoice", "invalid")
_COUPONS = ("WELCOME", "SPRING", "FRIENDS", UNKNOWN_COUPON)

Numbers = NDArray[np.uint64]
Codes = NDArray[np.int64]


def write_orders(path: Path, count: int) -> None:
    """Write orders 0 to `count` - 1; the file appears when it is whole.

    Of a hundred orders two have no items and one can't be paid for; of a million, 23 have a coupon
    that doesn't exist (of fewer than a million: at least one has).
    """
    unborn = path.with_name(path.name + ".new")
    with pq.ParquetWriter(unborn, SCHEMA) as writer:
        for first in range(0, count, _BLOCK_ROWS):
            numbers = np.arange(first, min(first + _BLOCK_ROWS, count), dtype=np.uint64)
            writer.write_table(_orders(numbers, _mistaken(count)))
    os.replace(unborn, path)


def _mistaken(count: int) -> Numbers:
    """Answer which orders have the coupon that doesn't exist, evenly spread."""
    mistakes = max(1, count * UNKNOWN_COUPONS_PER_MILLION // 1_000_000)
    return ((2 * np.arange(mistakes, dtype=np.uint64) + 1) * count) // (2 * mistakes)


def _orders(numbers: Numbers, mistaken: Numbers) -> pa.Table:
    is_mistaken = np.isin(numbers, mistaken)
    items = np.where(_drawn(numbers, 1, 50) == 0, 0, 1 + _drawn(numbers, 2, 9))
    methods = np.where(_drawn(numbers, 3, 100) == 0, 3, _drawn(numbers, 4, 3))
    # One order in five has a coupon; -1 stands for none.
    coupons = np.where(_drawn(numbers, 5, 5) == 0, _drawn(numbers, 6, 3), -1)
    columns = {
        "order_id": _ids(numbers),
        "subtotal": np.round(5 + _drawn(numbers, 7, 49_500) / 100, 2),
        "items": np.where(is_mistaken, 1, items),
        "method": _chosen(_METHODS, methods),
        "coupon": _chosen(_COUPONS, np.where(is_mistaken, len(_COUPONS) - 1, coupons)),
    }
    return pa.table(columns, schema=SCHEMA)


def _drawn(numbers: Numbers, question: int, below: int) -> Codes:
    """Draw for each number, and each question about it, one of 0 to `below` - 1: always the same.

    A hash (splitmix64), as NumPy's generators may draw otherwise in their next version.
    """
    bits = (numbers * 16 + question) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ (bits >> np.uint64(31))) % below).astype(np.int64)


def _ids(numbers: Numbers) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise("order", digits, "-")


def _chosen(names: Sequence[str], codes: Codes) -> pa.Array:
    return pa.array(names).take(pa.array(codes, mask=codes < 0))

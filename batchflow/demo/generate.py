"""Generate a Parquet file of orders, the same ones each time."""

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
    """Write orders 0 to `count` - 1; the file appears once it is complete.

    Two orders in a hundred have no items, and one can't be paid for. In a million orders, 23 have
    an unknown coupon; in fewer orders, at least one has.
    """
    temporary = path.with_name(path.name + ".new")
    with pq.ParquetWriter(temporary, SCHEMA) as writer:
        for first in range(0, count, _BLOCK_ROWS):
            numbers = np.arange(first, min(first + _BLOCK_ROWS, count), dtype=np.uint64)
            writer.write_table(_orders(numbers, _with_unknown_coupon(count)))
    os.replace(temporary, path)


def _with_unknown_coupon(count: int) -> Numbers:
    """Return the numbers of the orders with the unknown coupon, evenly spread."""
    coupons = max(1, count * UNKNOWN_COUPONS_PER_MILLION // 1_000_000)
    return ((2 * np.arange(coupons, dtype=np.uint64) + 1) * count) // (2 * coupons)


def _orders(numbers: Numbers, with_unknown_coupon: Numbers) -> pa.Table:
    is_unknown = np.isin(numbers, with_unknown_coupon)
    items = np.where(_draw(numbers, 1, 50) == 0, 0, 1 + _draw(numbers, 2, 9))
    methods = np.where(_draw(numbers, 3, 100) == 0, 3, _draw(numbers, 4, 3))
    # One order in five has a coupon; -1 means none.
    coupons = np.where(_draw(numbers, 5, 5) == 0, _draw(numbers, 6, 3), -1)
    columns = {
        "order_id": _ids(numbers),
        "subtotal": np.round(5 + _draw(numbers, 7, 49_500) / 100, 2),
        "items": np.where(is_unknown, 1, items),
        "method": _names_of(_METHODS, methods),
        "coupon": _names_of(_COUPONS, np.where(is_unknown, len(_COUPONS) - 1, coupons)),
    }
    return pa.table(columns, schema=SCHEMA)


def _draw(numbers: Numbers, stream: int, below: int) -> Codes:
    """Return a value from 0 to `below` - 1 for each number, independent for each `stream`.

    It is a hash (splitmix64), because NumPy's generators may change with its version.
    """
    bits = (numbers * 16 + stream) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ (bits >> np.uint64(31))) % below).astype(np.int64)


def _ids(numbers: Numbers) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise("order", digits, "-")


def _names_of(names: Sequence[str], codes: Codes) -> pa.Array:
    return pa.array(names).take(pa.array(codes, mask=codes < 0))

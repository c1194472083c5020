"""Make a small store in the current file format.

``python make_format.py`` writes ``format_N.duckdb.gz`` beside this script, where N is the number of
the format. Run it once whenever the format changes, and commit the file. Files of earlier formats
are never made again: the code of their time wrote them. The script uses only public names of
batchflow, so that it can also be run with the code of another time on PYTHONPATH.

The files are compressed, as DuckDB's smallest file with these tables has two megabytes.
"""

from __future__ import annotations

import datetime as dt
import enum
import gzip
import tempfile
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import duckdb

import batchflow as bf
from batchflow.testing import FakeClock

FOLDER = Path(__file__).parent
BEGIN = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
LATER = BEGIN + dt.timedelta(days=1)
DAY, LOCAL = BEGIN.date(), BEGIN.replace(tzinfo=None)
HOUR_SECONDS = 3600.0


class OrderStatus(enum.Enum):
    RECEIVED = "received"
    PRICED = "priced"
    PACKED = "packed"
    SHIPPED = "shipped"
    REJECTED = "rejected"


class LetterStatus(enum.Enum):
    WRITTEN = 1
    SENT = 2


class Priority(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclass
class Item:
    name: str
    price: Annotated[Decimal, bf.Precision(18, 2)]
    quantity: int = 1


@dataclass
class Order:
    number: int
    reference: uuid.UUID
    ordered_at: Annotated[dt.datetime, bf.UTC]
    items: list[Item]
    labels: dict[str, str] = field(default_factory=dict)
    total: Annotated[Decimal, bf.Precision(18, 2)] | None = None
    priority: Priority = Priority.LOW
    weight: float = 0.5
    day: dt.date = DAY
    local: dt.datetime = LOCAL
    waits: dt.timedelta = dt.timedelta(hours=2)
    seal: bytes = b"\x00\xff"
    gift: bool = False


@dataclass
class Letter:
    text: str


def order(number: int) -> Order:
    return Order(
        number,
        uuid.UUID(int=number),
        BEGIN - dt.timedelta(days=number),
        [Item("tea", Decimal("2.50"), number), Item("cup", Decimal("7.25"))],
        {"shelf": f"s{number}"},
    )


def price(run: bf.Run[Order, OrderStatus]) -> OrderStatus | bf.Answer:
    """Price an order; the last digit of its number decides what else happens to it."""
    last = run.object.number % 10
    if last == 1:
        return OrderStatus.REJECTED
    if last == 2 and run.object.total is None:
        run.object.total = Decimal(0)
        return run.repeat()
    if last in (3, 4) and run.attempt == 1:
        raise ValueError(f"there is no price list for order {run.object.number}")
    if last in (5, 6) and not run.object.gift:
        return run.pause("check the address")
    run.object.total = sum((i.price * i.quantity for i in run.object.items), Decimal(0))
    return OrderStatus.PRICED


def pack(batch: bf.Batch[Order, OrderStatus]) -> OrderStatus:
    return OrderStatus.PACKED


def send(run: bf.Run[Letter, LetterStatus]) -> LetterStatus:
    if run.attempt == 1 and run.object.text == "2":
        raise ConnectionError("the post office is closed")
    return LetterStatus.SENT


def orders() -> bf.Workflow[Order, OrderStatus]:
    retry = bf.Retry(backoff_seconds=HOUR_SECONDS, max_backoff_seconds=HOUR_SECONDS)
    workflow = bf.Workflow("orders", Order, OrderStatus, retry=retry)
    workflow.add_step(
        OrderStatus.RECEIVED, price, OrderStatus.PRICED, OrderStatus.REJECTED, OrderStatus.RECEIVED
    )
    workflow.add_step(OrderStatus.PRICED, pack, OrderStatus.PACKED, batch=True)
    workflow.sql_step(OrderStatus.PACKED, to=[OrderStatus.SHIPPED], set={"weight": "weight * 2"})
    return workflow


def letters() -> bf.Workflow[Letter, LetterStatus]:
    workflow = bf.Workflow(
        "letters", Letter, LetterStatus, record_transitions=False, retry=bf.Retry(pause_after=1)
    )
    workflow.add_step(LetterStatus.WRITTEN, send, LetterStatus.SENT)
    return workflow


def make(path: Path) -> None:
    """Write a store whose runs are waiting, finished, rejected, failed, paused and cancelled."""
    clock = FakeClock(BEGIN)
    with bf.Engine(path, orders(), letters(), workers=0, clock=clock) as engine:
        for number in range(30):
            engine.trigger(f"order-{number}", order(number))
        for number in range(4):
            engine.trigger(f"letter-{number}", Letter(str(number)))
        clock.advance(1)
        engine.run(progress=False)
        clock.advance(1)
        engine.resume("number = 5", workflow="orders")
        engine.cancel("number = 15", reason="ordered twice", workflow="orders")
        for number in range(30, 34):
            engine.trigger(f"order-{number}", order(number))
        engine.trigger("letter-4", Letter("4"))
        engine.pause("number = 30", reason="wait for the customer", workflow="orders")


def later_engine(path: Path) -> bf.Engine:
    """Open such a store a day later."""
    return bf.Engine(path, orders(), letters(), workers=0, clock=FakeClock(LATER))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.duckdb"
        make(path)
        with duckdb.connect(str(path), read_only=True) as connection:
            found = connection.execute("SELECT format_version FROM batchflow.store").fetchall()
        compressed = gzip.compress(path.read_bytes(), mtime=0)
    [(version,)] = found
    (FOLDER / f"format_{version}.duckdb.gz").write_bytes(compressed)


if __name__ == "__main__":
    main()

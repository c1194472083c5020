"""Shipments, each with a list of scans: the nested data of the benchmarks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

import batchflow as bf


class ShipmentStatus(enum.Enum):
    """The statuses of a shipment."""

    SENT = "sent"
    ARRIVED = "arrived"


@dataclass
class Scan:
    """The moment in which a shipment passed a place."""

    place: str
    seconds: float


@dataclass
class Shipment:
    """A shipment, and the scans so far."""

    shipment_id: str
    scans: list[Scan]


ShipmentWorkflow: TypeAlias = "bf.Workflow[Shipment, ShipmentStatus]"
LAST_PLACE = "door"
LAST_SECONDS = 60.0


class ShipmentRun(Protocol):
    """The part of a run that the row step needs."""

    object: Shipment


def arrive(run: ShipmentRun) -> ShipmentStatus:
    """Append the last scan."""
    run.object.scans.append(Scan(LAST_PLACE, LAST_SECONDS))
    return ShipmentStatus.ARRIVED


def arrive_batch(batch: Any) -> ShipmentStatus:
    """Return the column of scans as it is."""
    scans: pa.Array = batch.arrow["scans"]
    batch["scans"] = scans
    return ShipmentStatus.ARRIVED


def row_shipments() -> ShipmentWorkflow:
    """Make the workflow of one row step."""
    shipments = bf.Workflow("shipments", Shipment, ShipmentStatus)
    shipments.add_step(ShipmentStatus.SENT, arrive, ShipmentStatus.ARRIVED)
    return shipments


def batch_shipments() -> ShipmentWorkflow:
    """Make the workflow of one batch step."""
    shipments = bf.Workflow("shipments", Shipment, ShipmentStatus)
    shipments.batch_step(ShipmentStatus.SENT, to=[ShipmentStatus.ARRIVED], columns=["scans"])(
        arrive_batch
    )
    return shipments


def write_shipments(path: Path, count: int, scans: int) -> None:
    """Write shipments 0 to `count` - 1 with as many scans each as Parquet."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (
                SELECT
                    format('shipment-{{:09d}}', i) AS shipment_id,
                    list_transform(range({scans}), lambda scan: {{
                        'place': 'hub-' || ((i + scan) % 997),
                        'seconds': ((i * 31 + scan) % 86400)::DOUBLE
                    }}) AS scans
                FROM range({count}) t(i)
            ) TO '{path}' (FORMAT parquet)
            """
        )

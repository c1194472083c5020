"""The command line, in this process or in its own, and the pipelines that it executes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import call_in_process

import batchflow

PARCELS = '''
"""Weight 0 is refused, -1 fails and is retried after an hour, -2 is paused immediately."""

import enum
from dataclasses import dataclass

import batchflow as bf

print("imported")


class ParcelStatus(enum.Enum):
    NEW = 1
    CHECKED = 2
    REFUSED = 3
    SENT = 4


@dataclass
class Parcel:
    parcel_id: str
    weight: int
    label: str | None = None


parcels = bf.Workflow(
    "parcels",
    Parcel,
    ParcelStatus,
    retry=bf.Retry(backoff_seconds=3600, max_backoff_seconds=3600, never_on=[ZeroDivisionError]),
)


@parcels.step(ParcelStatus.NEW, to=[ParcelStatus.CHECKED, ParcelStatus.REFUSED])
def check(run):
    print("checked")
    if run.object.weight == 0:
        return ParcelStatus.REFUSED
    if run.object.weight == -1:
        raise ValueError("the scale shows -1")
    if run.object.weight == -2:
        raise ZeroDivisionError("it can't be weighed")
    run.object.label = f"{run.object.weight} kg"
    return ParcelStatus.CHECKED


parcels.sql_step(
    ParcelStatus.CHECKED, to=[ParcelStatus.SENT], set={"label": "upper(label)"}, status="SENT"
)
'''

# The second step waits until a stop is requested or a file "go" exists.
GATED = """
import enum
import os
import sys
import time
from dataclasses import dataclass

import batchflow as bf


class Status(enum.Enum):
    OUTSIDE = 1
    AT_GATE = 2
    INSIDE = 3


@dataclass
class Guest:
    name: str


guests = bf.Workflow("guests", Guest, Status)
guests.sql_step(Status.OUTSIDE, to=[Status.AT_GATE], set={}, status=Status.AT_GATE)


@guests.step(Status.AT_GATE, to=[Status.INSIDE])
def pass_gate(run):
    if os.path.exists("go"):
        return Status.INSIDE
    print("at the gate", file=sys.stderr, flush=True)
    while not run.stopping:
        time.sleep(0.01)
    return run.skip()
"""

# For tests that have nothing to check beside an engine.
alone = pytest.mark.parametrize("on_own_store", ["alone"], indirect=True)

Outcome = subprocess.CompletedProcess[str]
Command = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[str]"]


def environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name != "BATCHFLOW_STORE"}
    package = str(Path(batchflow.__file__).parents[1])
    # The other path keeps pandas out.
    path = os.pathsep.join([os.environ["PYTHONPATH"], package])
    return {**known, "PYTHONPATH": path, "COLUMNS": "100"}


def call(folder: Path, *arguments: object, **variables: str) -> Outcome:
    """Execute a command in this process."""
    done = call_in_process(folder, [*map(str, arguments)], {**environment(), **variables})
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def call_process(folder: Path, *arguments: object, **variables: str) -> Outcome:
    """Execute a command in a process of its own, for what only a process shows."""
    return subprocess.run(
        arguments_of(arguments),
        cwd=folder,
        env={**environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def begin(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments_of(arguments),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def arguments_of(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "batchflow", *map(str, arguments)]


def await_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if text in line:
            return
    raise AssertionError(f"The process ended without printing {text!r}: {''.join(read)}")


def document(outcome: Outcome) -> Any:
    return json.loads(outcome.stdout)


def parcels_csv(folder: Path, weights: list[int]) -> None:
    rows = "".join(f"p{number},{weight}\n" for number, weight in enumerate(weights))
    (folder / "parcels.csv").write_text(f"parcel_id,weight\n{rows}")


def run_parcels(folder: Path, *more: object) -> Outcome:
    return call(
        folder, "run", "parcel_pipeline.py:parcels", "--store", "parcels.duckdb",
        "--workers", 0, *more,
    )  # fmt: skip


def load_parcels(folder: Path, weights: list[int], *more: object) -> Outcome:
    (folder / "parcel_pipeline.py").write_text(PARCELS)
    parcels_csv(folder, weights)
    return run_parcels(folder, "--load", "parcels.csv", "--foreign-id", "parcel_id", *more)

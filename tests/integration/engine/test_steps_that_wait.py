"""Steps that wait: ten thousand requests to a slow service on this machine."""

from __future__ import annotations

import asyncio
import enum
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf

RUNS = 10_000
LATENCY_SECONDS = 0.1
TIMES_FASTER = 50

# It answers after its latency: 404 to every thousandth request, 503 to every hundredth at first.
SERVER = """
import asyncio
import sys

seen = set()

def status_of(number):
    if number % 1000 == 999:
        return "404 Not Found"
    if number % 100 == 50 and number not in seen:
        seen.add(number)
        return "503 Service Unavailable"
    return "200 OK"

async def answer(reader, writer):
    request = await reader.readuntil(b"\\r\\n\\r\\n")
    number = int(request.split()[1].rpartition(b"/")[2])
    await asyncio.sleep(float(sys.argv[1]))
    head = f"HTTP/1.1 {status_of(number)}\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"
    writer.write(head.encode())
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Stage(enum.Enum):
    NEW = "new"
    CHARGED = "charged"
    UNKNOWN = "unknown"


@dataclass
class Charge:
    number: int
    attempts: int = 0


class Service:
    """The address of the service, as a worker's resource."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /charges/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status


@pytest.fixture
def port() -> Iterator[int]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(LATENCY_SECONDS)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()


async def charge(run: bf.Run[Charge, Stage]) -> Stage:
    run.object.attempts = run.attempt
    return _status_after(await run.resources["service"].ask(run.object.number))


def charge_blocking(run: bf.Run[Charge, Stage]) -> Stage:
    run.object.attempts = run.attempt
    url = f"http://127.0.0.1:{run.resources['service'].port}/charges/{run.object.number}"
    try:
        with urllib.request.urlopen(url) as response:
            return _status_after(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return _status_after(error.code)


def _status_after(answer: int) -> Stage:
    if answer == 404:
        return Stage.UNKNOWN
    if answer != 200:
        raise ConnectionError(f"the service answered {answer}")
    return Stage.CHARGED


def charges(port: int, function: Any, **options: Any) -> bf.Workflow[Charge, Stage]:
    workflow = bf.Workflow(
        "charges",
        Charge,
        Stage,
        resources={"service": lambda: Service(port)},
        retry=bf.Retry(backoff_seconds=0.2, pause_after=3),
    )
    workflow.add_step(Stage.NEW, function, Stage.CHARGED, Stage.UNKNOWN, **options)
    return workflow


def load(engine: bf.Engine, runs: int) -> None:
    engine.trigger_many(f"SELECT i AS number FROM range({runs}) t(i)", foreign_id="number")


def outcomes(engine: bf.Engine) -> set[tuple[str, int, int]]:
    rows = engine.runs().aggregate("status, attempts, count(*) AS runs").fetchall()
    return {(status, attempts, runs) for status, attempts, runs in rows}


@pytest.mark.alone
def test_ten_thousand_slow_requests_are_fifty_times_faster_than_in_sequence(
    port: int, tmp_path: Path
) -> None:
    workflow = charges(port, charge, concurrency=256)
    with bf.Engine(tmp_path / "charges.duckdb", workflow, workers=2) as engine:
        load(engine, RUNS)
        began = time.monotonic()
        report = engine.run(wait_for_retries=True)
        seconds = time.monotonic() - began

        assert outcomes(engine) == {
            ("CHARGED", 1, RUNS - RUNS // 100 - RUNS // 1000),
            ("CHARGED", 2, RUNS // 100),
            ("UNKNOWN", 1, RUNS // 1000),
        }

    assert report.outcome("failed") == RUNS // 100
    assert RUNS * LATENCY_SECONDS / seconds >= TIMES_FASTER


def test_plain_functions_wait_in_threads(port: int, tmp_path: Path) -> None:
    workflow = charges(port, charge_blocking, threads=32)
    with bf.Engine(tmp_path / "charges.duckdb", workflow, workers=2) as engine:
        load(engine, 1_000)
        engine.run(wait_for_retries=True)

        assert outcomes(engine) == {("CHARGED", 1, 989), ("CHARGED", 2, 10), ("UNKNOWN", 1, 1)}


def test_a_resource_that_does_not_open_stops_the_drain_with_one_error(tmp_path: Path) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("no server listens on 127.0.0.1:1")

    workflow = bf.Workflow("charges", Charge, Stage, resources={"service": refuse})
    workflow.add_step(Stage.NEW, charge, Stage.CHARGED, Stage.UNKNOWN)
    with bf.Engine(tmp_path / "charges.duckdb", workflow, workers=2) as engine:
        load(engine, 1_000)
        with pytest.raises(bf.ResourceError, match=r"service.*no server listens"):
            engine.run()

        assert engine.counts().fetchall() == [("NEW", "INITIATED", 1_000)]
        assert engine.errors().fetchall() == []

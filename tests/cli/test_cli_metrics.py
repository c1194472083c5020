"""The numbers of a store are written for Prometheus, to a file or on request."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, document

Command = Callable[..., Outcome]

_LINE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+-]+')


def test_the_metrics_are_in_the_text_format(on_shared_store: Command) -> None:
    lines = on_shared_store("metrics").stdout.splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described)) == 13
    values = [line for line in lines if not line.startswith("#")]
    assert all(_LINE.fullmatch(line) for line in values), values
    assert 'batchflow_failures_total{workflow="parcels",step="check"} 2.0' in values
    assert "batchflow_chunks_in_flight 0.0" in values
    assert any(
        line.startswith('batchflow_commit_seconds_total{workflow="parcels"') for line in values
    )


def test_a_file_is_written_completely_or_not_at_all(
    on_shared_store: Command, tmp_path: Path
) -> None:
    path = tmp_path / "parcels.prom"
    assert on_shared_store("metrics", "--textfile", path).returncode == 0
    before = path.read_text()
    assert before.startswith("# HELP batchflow_runs ")
    assert on_shared_store("metrics", "--textfile", path, "--workflow", "none").returncode == 3
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("address", ["9464", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"])
def test_an_address_needs_a_host_and_a_port(on_shared_store: Command, address: str) -> None:
    outcome = on_shared_store("metrics", "--listen", address)
    assert outcome.returncode == 2
    assert "HOST:PORT" in outcome.stderr


def test_the_metrics_are_a_json_document(on_shared_store: Command) -> None:
    samples = document(on_shared_store("metrics", "--json"))
    lines = on_shared_store("metrics").stdout.splitlines()
    assert len(samples) == sum(not line.startswith("#") for line in lines)
    assert {"metric", "labels", "value"} == set(samples[0])
    assert {each["labels"].get("workflow") for each in samples} == {None, "parcels"}
    assert on_shared_store("metrics", "--json", "--textfile", "x.prom").returncode == 2


def test_the_metrics_are_served_on_request(parcels_folder: Path) -> None:
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "batchflow", "metrics"),
            *("--store", "parcels.duckdb", "--listen", "127.0.0.1:0"),
        ],
        cwd=parcels_folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        [address] = re.findall(r"http://\S+?/metrics", server.stderr.readline())
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"batchflow_runs{" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address.replace("metrics", "other"), timeout=30)
    finally:
        server.kill()
        server.communicate()

"""Twenty coordinators and twenty workers are killed, and nothing is lost or duplicated."""

from __future__ import annotations

import faulthandler
import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("crash_driver.py")
# One round, as a rule; `make soak` kills ten thousand coordinators.
KILLS = 20
DEATHS = 20


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_nothing_is_lost_or_duplicated_by_any_number_of_deaths(tmp_path: Path) -> None:
    # It may take longer than Python's own limit, after which the whole run ends.
    faulthandler.cancel_dump_traceback_later()
    counts = tmp_path / "counts.json"

    driven = subprocess.run(
        [
            sys.executable,
            str(DRIVER),
            f"--kills={KILLS}",
            f"--deaths={DEATHS}",
            "--jobs=1",
            f"--counts={counts}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert driven.returncode == 0, driven.stdout
    counted = json.loads(counts.read_text())
    assert counted["problems"] == []
    assert sum(counted["kills"].values()) >= KILLS
    assert sum(counted["deaths"].values()) >= DEATHS

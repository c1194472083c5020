from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture
def ctrl_c_ignored() -> Iterator[None]:
    """What this process ignores, those that it starts ignore too: as under `nohup` or after `&`."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_that_is_ignored_where_it_was_started_stays_ignored(
    ctrl_c_ignored: None, guests_at_gate: subprocess.Popen[str]
) -> None:
    guests_at_gate.send_signal(signal.SIGINT)
    guests_at_gate.send_signal(signal.SIGTERM)
    guests_at_gate.communicate()

    assert guests_at_gate.returncode == 128 + signal.SIGTERM

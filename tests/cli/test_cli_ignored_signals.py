from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture
def ctrl_c_ignored() -> Iterator[None]:
    """Ignore Ctrl-C here, and so in child processes, as `nohup` and `&` do."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_that_the_parent_ignores_stays_ignored(
    ctrl_c_ignored: None, guests_at_gate: subprocess.Popen[str]
) -> None:
    guests_at_gate.send_signal(signal.SIGINT)
    guests_at_gate.send_signal(signal.SIGTERM)
    guests_at_gate.communicate()

    assert guests_at_gate.returncode == 128 + signal.SIGTERM

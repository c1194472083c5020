"""How hard to look: the same examples each time, or with ``BATCHFLOW_FUZZ=100`` so many times more.

What is looked at by chance would fail a pipeline by chance; so chance is for whoever asks for it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_TIMES = int(os.environ.get("BATCHFLOW_FUZZ", "1"))


def examples(number: int) -> settings:
    """Return the settings of a property that is cheap enough for so many examples."""
    return settings(
        max_examples=number * _TIMES,
        deadline=None,
        derandomize=_TIMES == 1,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

"""The number of examples: the same ones each time, or random ones with ``BATCHFLOW_FUZZ=100``.

``BATCHFLOW_FUZZ`` multiplies their number. Random examples would make a pipeline fail at random,
so they aren't the default.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_TIMES = int(os.environ.get("BATCHFLOW_FUZZ", "1"))


def examples(number: int) -> settings:
    """Return the settings of a property with this number of examples."""
    return settings(
        max_examples=number * _TIMES,
        deadline=None,
        derandomize=_TIMES == 1,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

"""The number of examples: the same ones each time, or random ones with ``BATCHFLOW_FUZZ=100``.

``BATCHFLOW_FUZZ`` multiplies their number. Random examples would make a pipeline fail at random,
so they aren't the default. It also has tests try all combinations of options, not only some.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

_TIMES: Final = int(os.environ.get("BATCHFLOW_FUZZ", "1"))
ALL_COMBINATIONS: Final = _TIMES > 1


def examples(number: int) -> settings:
    """Return the settings of a property with this number of examples."""
    return settings(
        max_examples=number * _TIMES,
        deadline=None,
        derandomize=_TIMES == 1,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

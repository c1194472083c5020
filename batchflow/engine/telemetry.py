"""The metrics of the open engines for OpenTelemetry, if its API is installed."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from batchflow.engine.open_engines import engines
from batchflow.errors import BatchflowError
from batchflow.store.query.metrics import METRICS, Sample

# An exporter reads one metric after the other, and one look at the store is enough for all.
_KEPT_SECONDS: Final = 1.0


class _Readings:
    """The latest values of all metrics of the open engines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._samples: dict[str, list[tuple[str, Sample]]] = {}

    def of(self, metric: str) -> Sequence[tuple[str, Sample]]:
        """Return the values of a metric, each with the path of its store."""
        with self._lock:
            if time.monotonic() - self._read_at > _KEPT_SECONDS:
                self._samples = {name: [] for name in METRICS}
                for path, sample in _read():
                    self._samples[sample.metric].append((path, sample))
                self._read_at = time.monotonic()
            return self._samples[metric]


def _read() -> Iterator[tuple[str, Sample]]:
    for engine in engines():
        try:
            samples = engine._samples()
        except BatchflowError:
            # It is being closed.
            continue
        for found in samples.values():
            yield from ((engine.path, sample) for sample in found)


@functools.cache
def observe_engines() -> None:
    """Let OpenTelemetry read the metrics of the open engines; nothing without its API."""
    try:
        from opentelemetry.metrics import Observation, get_meter
    except ImportError:
        return
    meter, readings = get_meter("batchflow"), _Readings()

    def observed(metric: str, _: Any) -> Iterable[Any]:
        for path, sample in readings.of(metric):
            yield Observation(sample.value, {**sample.labels, "store": path})

    for name, (kind, text) in METRICS.items():
        create = (
            meter.create_observable_counter if kind == "counter" else meter.create_observable_gauge
        )
        create(name, callbacks=[functools.partial(observed, name)], description=text)

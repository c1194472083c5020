"""Ctrl-C and SIGTERM while the coordinator runs in the main thread."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from batchflow.coordinator import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignals:
    """Turn the first signal into an orderly stop and the second into a stop at once.

    The handler sets a flag and no more: an exception out of it, in the middle of a DuckDB call,
    would be swallowed or come out as another. What the signal means elsewhere (`KeyboardInterrupt`,
    the end of the process) follows when the drain has ended. Outside of the main thread, where
    Python delivers no signals, it does nothing.
    """

    def __init__(self, stop: Stop, grace_seconds: float) -> None:
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopOnSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._received is None or error is not None:
            return
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._stop.request(0.0 if self._received is not None else self._grace_seconds)
        self._received = self._received or number

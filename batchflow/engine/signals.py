"""Ctrl-C, SIGTERM and a closed terminal while the coordinator runs in the main thread."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from batchflow.coordinator import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopOnSignals:
    """Stop gracefully on the first signal and at once on the second.

    The handler only sets a flag, as DuckDB would swallow an exception or turn it into another. The
    usual effect of the signal (`KeyboardInterrupt`, the end of the process) follows when the drain
    has ended. From the second signal on, an exception interrupts a step that is executing in this
    thread.

    It does nothing outside of the main thread, where Python delivers no signals, and for a signal
    that is ignored (by `nohup`, or after `&` in a script) or whose handler Python can't restore.

    Args:
        stop: Receives the stop request.
        interrupt: Interrupts a step that is executing in this thread, if there is one.
        grace_seconds: How long chunks in flight may take after the first signal.
    """

    def __init__(self, stop: Stop, interrupt: Callable[[], None], grace_seconds: float) -> None:
        self._stop = stop
        self._interrupt = interrupt
        self._grace_seconds = grace_seconds
        self._received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopOnSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
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
        if self._received is None or not isinstance(error, KeyboardInterrupt | None):
            return
        if self._received == signal.SIGINT:
            # If it interrupted a step, the exception is being raised already.
            if error is None:
                raise KeyboardInterrupt
            return
        raise SystemExit(128 + self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            self._stop.request(self._grace_seconds)
        else:
            self._stop.request(0.0)
            self._interrupt()

"""Handling of Ctrl-C, SIGTERM and a closed terminal in a command."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Record the first signal, and raise KeyboardInterrupt on each.

    DuckDB replaces the exception by one of its own, or swallows it. So the recorded signal decides
    the exit code. While an engine runs, it handles these signals itself.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # A signal that `nohup`, or `&` in a script, had ignored stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int | None:
        """Return a shell's exit code for the recorded signal, or None if there was none."""
        return None if self._received is None else 128 + self._received

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received = self._received or number
        raise KeyboardInterrupt

"""Ctrl-C, SIGTERM and the end of the terminal, wherever a command is."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Remember the first signal, and raise KeyboardInterrupt on each.

    What comes out of a DuckDB call may be another exception, or none; so what counts afterwards is
    what was remembered. While the engine moves runs it handles these signals itself.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # Ignored by `nohup`, or after `&` in a script: then it isn't meant for us.
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
        """What a shell says of a process that was ended so; ``None`` if no signal came."""
        return None if self._received is None else 128 + self._received

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received = self._received or number
        raise KeyboardInterrupt

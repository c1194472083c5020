"""Ctrl-C and SIGTERM, wherever a command is."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Remember the first signal, and raise KeyboardInterrupt on each.

    What comes out of a DuckDB call may be another exception, or none; so what counts afterwards is
    what was remembered. While the engine moves runs it handles these signals itself.
    """

    def __init__(self) -> None:
        self._received: int | None = None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    @property
    def exit_code(self) -> int | None:
        """What a shell says of a process that was ended so; ``None`` if no signal came."""
        return None if self._received is None else 128 + self._received

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received = self._received or number
        raise KeyboardInterrupt

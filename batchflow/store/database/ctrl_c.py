"""Ctrl-C while DuckDB executes a statement in the main thread."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class CtrlC:
    """Raise KeyboardInterrupt after Ctrl-C, whatever DuckDB turned it into.

    DuckDB may raise a RuntimeError or an error of the source that it was reading, or nothing.
    """

    def __init__(self) -> None:
        self._received = False
        self._installed = False

    def __enter__(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._receive)
            self._installed = True

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._received and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._received = True
        raise KeyboardInterrupt

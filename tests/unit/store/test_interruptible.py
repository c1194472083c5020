"""Ctrl-C at every moment at which Python may handle it ends the work that another thread does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from batchflow.store.query import interruption
from batchflow.store.query.interruption import interruptible


class Press:
    """A profile function that raises KeyboardInterrupt, as a handler does, at the given moment.

    Python calls handlers when a function begins, and when a call of a built-in one ends.
    """

    def __init__(self, moment: int) -> None:
        self._left = moment
        self.where: str | None = None

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        code = frame.f_code
        here = code.co_filename == interruption.__file__ or code is threading.Thread.start.__code__
        if here and event in ("call", "c_return", "c_exception"):
            self._left -= 1
            if self._left < 0:
                self.where = getattr(called, "__name__", code.co_name)
                raise KeyboardInterrupt


class Work:
    """Work that ends only when it is interrupted."""

    def __init__(self) -> None:
        self.interrupted, self.ended = threading.Event(), threading.Event()
        self.begun = False

    def do(self) -> None:
        self.begun = True
        if self.interrupted.wait(20):
            self.ended.set()


def pressed_at_each_moment() -> Iterator[tuple[str | None, Work]]:
    """Press Ctrl-C at the first moment of a call, at its second, and so on, until it waits."""
    for moment in range(100):
        press, work = Press(moment), Work()
        sys.setprofile(press)
        try:
            interruptible(work.do, work.interrupted.set)
        except KeyboardInterrupt:
            yield press.where, work
        finally:
            sys.setprofile(None)
        if press.where == "get":
            return


def test_work_is_ended_or_never_begins_whenever_ctrl_c_is_pressed() -> None:
    pressed = list(pressed_at_each_moment())

    assert {"interruptible", "start_new_thread", "get"} <= {where for where, _ in pressed}
    for where, work in pressed:
        assert not work.begun or work.ended.wait(10), where

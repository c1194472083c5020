"""The levels of the loggers of one process, applied in another one."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass


@dataclass(frozen=True)
class LogLevels:
    """The levels that loggers have of their own.

    Attributes:
        levels: The level of each logger that has one, by name; that of the root is under "".
        disabled: The names of the loggers that are switched off.
        disabled_level: Records up to this level are dropped, as by `logging.disable`.
    """

    levels: dict[str, int]
    disabled: list[str]
    disabled_level: int

    @classmethod
    def of_this_process(cls) -> LogLevels:
        """Return the levels as they are now."""
        root = logging.getLogger()
        known = {
            name: logger
            for name, logger in list(root.manager.loggerDict.items())
            if isinstance(logger, logging.Logger)
        }
        levels = {name: logger.level for name, logger in known.items() if logger.level}
        disabled = [name for name, logger in known.items() if logger.disabled]
        return cls({"": root.level, **levels}, disabled, root.manager.disable)

    def apply(self) -> None:
        """Give the loggers of this process these levels; others keep theirs."""
        for name, level in self.levels.items():
            logging.getLogger(name or None).setLevel(level)
        for name in self.disabled:
            logging.getLogger(name).disabled = True
        logging.disable(self.disabled_level)

    def to_bytes(self) -> bytes:
        """Return the levels as bytes."""
        return json.dumps([self.levels, self.disabled, self.disabled_level]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> LogLevels:
        """Return the levels of `to_bytes`."""
        return cls(*json.loads(data))

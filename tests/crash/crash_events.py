"""What the lives of a round tell, line by line, into a file that outlives each of them."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any


class Events(logging.Handler):
    """Writes down what the engine logs and what a life does; a line is there once it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(self, what: str, value: Any) -> None:
        os.write(self._file, f"{json.dumps([what, value])}\n".encode())

    def emit(self, record: logging.LogRecord) -> None:
        said = record.__dict__
        match said.get("action"):
            case "commit":
                self.tell("moved", said["runs"])
            case "replace_worker":
                self.tell("death", said["cause"])


class Told:
    """What the lives of a round have told so far.

    Attributes:
        moves: how many moves of runs were told to be committed.
        loads: which loads were.
        deaths: how workers ended, and how often.
        transitions: how many were in the store at the end.
        problems: what isn't as it must be.
    """

    def __init__(self, path: Path) -> None:
        self.moves = 0
        self.loads: set[int] = set()
        self.deaths: Counter[str] = Counter()
        self.transitions = 0
        self.problems: list[str] = []
        for line in path.read_text().splitlines() if path.exists() else ():
            self._hear(*json.loads(line))

    def _hear(self, what: str, value: Any) -> None:
        match what:
            case "moved":
                self.moves += value
            case "loaded":
                self.loads.add(value)
            case "death":
                self.deaths[value] += 1
            case "transitions":
                self.transitions = value
            case "problem":
                self.problems.append(value)

"""Events of the lives of a round, as lines of a file that outlives each of them."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any


class Events(logging.Handler):
    """Writes the engine's log and the events of a life; a written line survives a kill."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, value: Any) -> None:
        os.write(self._file, f"{json.dumps([what, value])}\n".encode())

    def emit(self, record: logging.LogRecord) -> None:
        fields = record.__dict__
        match fields.get("action"):
            case "commit":
                self.write("changed", fields["runs"])
            case "replace_worker":
                self.write("death", fields["cause"])


class Recorded:
    """The events that the lives of a round have recorded so far.

    Attributes:
        moves: The number of transitions that were reported as committed.
        loads: The loads that were reported as committed.
        deaths: The causes of death of workers, with their counts.
        transitions: The number of transitions in the store at the end.
        problems: The deviations from what is expected.
    """

    def __init__(self, path: Path) -> None:
        self.moves = 0
        self.loads: set[int] = set()
        self.deaths: Counter[str] = Counter()
        self.transitions = 0
        self.problems: list[str] = []
        for line in path.read_text().splitlines() if path.exists() else ():
            self._count(*json.loads(line))

    def _count(self, what: str, value: Any) -> None:
        match what:
            case "changed":
                self.moves += value
            case "loaded":
                self.loads.add(value)
            case "death":
                self.deaths[value] += 1
            case "transitions":
                self.transitions = value
            case "problem":
                self.problems.append(value)

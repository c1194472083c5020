"""What steps need in a worker: without pytest, which each worker would import anew."""

from __future__ import annotations

import enum
import json
import os
from dataclasses import dataclass
from pathlib import Path


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0


class Calls:
    """What was called in which process, kept in a file: the callers die."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, numbers: list[int]) -> None:
        """Take note of a call for these runs."""
        with self._path.open("a") as file:
            file.write(f"{json.dumps([os.getpid(), numbers])}\n")

    def all(self) -> list[tuple[int, list[int]]]:
        """Each call's process id and runs."""
        return [tuple(json.loads(line)) for line in self._path.read_text().splitlines()]

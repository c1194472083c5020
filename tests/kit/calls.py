"""A record of the calls of a step, which outlives the processes that executed them."""

from __future__ import annotations

import json
import os
from pathlib import Path


class Calls:
    """The process and the runs of each call, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, numbers: list[int]) -> None:
        """Add a call for these runs."""
        with self._path.open("a") as file:
            file.write(f"{json.dumps([os.getpid(), numbers])}\n")

    def all(self) -> list[tuple[int, list[int]]]:
        """Return each call's process id and runs."""
        return [tuple(json.loads(line)) for line in self._path.read_text().splitlines()]

"""The index of the test kits has a line for each module that isn't a test."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TOGETHER = {"crash"}  # The line of the crash driver stands for the modules beside it.


def test_the_index_names_each_kit() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", (TESTS / "README.md").read_text(encoding="utf-8")))
    kits = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if not path.name.startswith("test_") and path.parent.name != "without_pandas"
    }
    alone = {kit for kit in kits if kit.split("/")[0] not in TOGETHER}
    assert alone <= named, "add a line to tests/README.md"
    assert named <= kits

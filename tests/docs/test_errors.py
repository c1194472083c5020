"""The page of errors lists every error class, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from batchflow import errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ROOTS = {errors.BatchflowError, errors.StepError}


def subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(subclasses(each) for each in root.__subclasses__()))


def test_each_error_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    defined = {
        each for each in subclasses(errors.BatchflowError) if each.__module__ == errors.__name__
    }
    assert sorted(listed) == sorted(each.__name__ for each in defined - ROOTS)

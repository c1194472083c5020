"""One class name means one thing in the whole package."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import batchflow

PACKAGE = Path(batchflow.__file__).parent


@cache
def class_definitions() -> dict[str, list[str]]:
    """Return for each class name the places where the package defines such a class."""
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return places


def test_the_whole_package_is_searched() -> None:
    assert {"Workflow", "Engine", "Store", "Chunk", "Batch"} <= class_definitions().keys()


def test_no_two_classes_of_the_package_have_the_same_name() -> None:
    assert {name: at for name, at in class_definitions().items() if len(at) > 1} == {}

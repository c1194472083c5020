"""No test reaches into an object that it doesn't test: a private name may change at any time.

A test gets at the inside of the engine by public means, such as those of `tests/kit`: it opens a
store without an engine (`open_store`), or keeps the executor that it gives to one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

# Public by a protocol of Python or Jupyter, in spite of the underscore.
PUBLIC = {"_exit", "_repr_html_", "_fields", "_replace", "_asdict"}

# The tests of the very class or module that has the name.
TESTED_THERE = {
    # Each call of it is a round trip, which the test counts.
    "integration/access/test_one_interface.py": {"_connected"},
    # The moment between two statements can't be met by a signal.
    "integration/access/test_interruption.py": {"_store", "_works"},
    # Limits that the test lowers, and what a load does for each file.
    "integration/store/test_load_many_files.py": {
        "_MOST_READ_BYTES",
        "_SMALL_BYTES",
        "_stage_file",
    },
    # Limits that the test lowers.
    "integration/engine/test_how_far.py": {"_LINES_EVERY_SECONDS"},
    "integration/store/test_explain.py": {"_ENOUGH_RUNS", "_IN_BLOCKS"},
    "integration/store/test_trigger_one.py": {
        "_MOST_KEPT",
        "_MOST_RECENT",
        "_SCANS_BEFORE_RETRY",
    },
    "unit/chart/test_charts.py": {"_outline"},
    "unit/picture/test_timeline.py": {"_MARKS"},
    # Its size isn't seen from outside.
    "unit/coordinator/test_backlog.py": {"_this_turn"},
    "unit/view/test_object_view.py": {"_batchflow_columns", "_batchflow_row"},
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each private name that is taken from another object or module, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if is_private(name):
                yield node.lineno, name
            case ast.ImportFrom(names=aliases):
                yield from ((node.lineno, each.name) for each in aliases if is_private(each.name))
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr") | ast.Attribute(attr="setattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if is_private(name):
                yield node.lineno, name


def used() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("*.py")):
        names = {name for _, name in private_names(ast.parse(path.read_text(encoding="utf-8")))}
        if names:
            found[path.relative_to(TESTS).as_posix()] = names
    return found


def test_private_names_are_used_only_where_they_are_tested() -> None:
    assert used() == TESTED_THERE


def test_each_way_to_reach_a_private_name_is_found() -> None:
    code = """
from module import _imported
engine._store._connection
getattr(engine, "_executor")
monkeypatch.setattr(engine, "_clock", None)
self._own
os._exit(0)
object.__new__
"""
    found = {name for _, name in private_names(ast.parse(code))}
    assert found == {"_imported", "_store", "_connection", "_executor", "_clock"}

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchflow.executor.import_path import import_path

MODULE = "found_by_a_relative_entry"


@pytest.fixture
def imported_module(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a module that a test imports."""
    home = tmp_path / "src"
    home.mkdir()
    (home / f"{MODULE}.py").write_text("")
    yield home
    sys.modules.pop(MODULE, None)


@pytest.mark.parametrize("entry", ["", "src"])
def test_relative_entries_keep_the_folder_that_modules_came_from(
    imported_module: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    home = imported_module
    monkeypatch.chdir(home if entry == "" else home.parent)
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    importlib.import_module(MODULE)
    monkeypatch.chdir("/")

    path = import_path()

    assert path[0] == str(home)
    assert ("/" in path) is (entry == "")
    assert all(Path(each).is_absolute() for each in path)


def test_entries_that_are_no_texts_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/somewhere")])
    assert import_path() == list(dict.fromkeys(sys.path[:-1]))


def test_a_removed_working_directory_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    gone.rmdir()
    assert str(gone) not in import_path()

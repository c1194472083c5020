"""An export at a URL: its files are complete before the first is uploaded.

Object storage has no rename, so a folder is complete when it has _SUCCESS, which comes last and
lists the folder's files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from batchflow.credentials import without_credentials
from batchflow.errors import ExportError, InvalidOptionError
from batchflow.export.files import SUCCESS

_WRITER: Final = "batchflow"


def success_text(facts: Mapping[str, Any], files: Sequence[str]) -> str:
    """Return the content of _SUCCESS: what the export is, and the paths of its files."""
    return json.dumps({"writer": _WRITER, **facts, "files": sorted(files)}, indent=1) + "\n"


class UrlFolder:
    """A file or a folder at a URL.

    Args:
        url: The URL.
        options: What its library takes.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        from batchflow.store.urls.filesystem import open_url

        self._shown = without_credentials(url)
        self._opened = open_url(url, options, ExportError)
        self._fs = self._opened.fs
        self._path = self._opened.path.rstrip("/")

    def has(self, name: str) -> bool:
        """Return whether the folder has a file."""
        with self._writing("can't be written"):
            return bool(self._fs.exists(f"{self._path}/{name}"))

    def require_new(self, *, is_folder: bool, replace: bool) -> None:
        """Raise InvalidOptionError if something is there that may not be replaced."""
        with self._writing("can't be written"):
            found = self._fs.find(self._path) if is_folder else []
            exists = bool(found) if is_folder else self._fs.exists(self._path)
        if exists and not replace:
            raise InvalidOptionError(
                f"{self._shown!r} already exists. Give replace=True to replace it, or another "
                "name.",
                option="replace",
            )
        if found and set(self._earlier()) < set(map(self._within, found)):
            raise InvalidOptionError(
                f"{self._shown!r} already exists, and isn't an earlier export. Give another name, "
                "or remove it.",
                option="to",
            )

    def clear(self) -> None:
        """Remove what an earlier or a killed export left in the folder, _SUCCESS first."""
        with self._writing("can't be written"):
            found = sorted(self._fs.find(self._path), key=lambda name: name[-8:] != SUCCESS)
            for name in found:
                self._fs.rm_file(name)

    def upload(self, path: Path) -> list[str]:
        """Upload a file, or the files of a folder, and return their paths within it."""
        with self._writing("can't be written"):
            if path.is_file():
                self._put(path, self._path)
                return [PurePosixPath(self._path).name]
            files = sorted(each for each in path.rglob("*") if each.is_file())
            names = [each.relative_to(path).as_posix() for each in files]
            for each, name in zip(files, names, strict=True):
                self._put(each, f"{self._path}/{name}")
            return names

    def succeed(self, text: str) -> None:
        """Write _SUCCESS."""
        with self._writing("can't be written"):
            self._fs.pipe_file(f"{self._path}/{SUCCESS}", text.encode())

    def _put(self, path: Path, name: str) -> None:
        parent = name.rpartition("/")[0]
        # Object storage has no folders, but other file systems need them.
        if not getattr(self._fs, "async_impl", False):
            self._fs.makedirs(parent, exist_ok=True)
        self._fs.put_file(str(path), name)

    def _earlier(self) -> list[str]:
        """Return the files of an earlier export, by its _SUCCESS."""
        with self._writing("can't be read"):
            if not self._fs.exists(f"{self._path}/{SUCCESS}"):
                return []
            text = self._fs.cat_file(f"{self._path}/{SUCCESS}")
        try:
            found = json.loads(text)
            return [*found["files"], SUCCESS] if found["writer"] == _WRITER else []
        except (ValueError, LookupError, TypeError):
            return []

    def _within(self, name: str) -> str:
        return str(name).removeprefix(self._path).lstrip("/")

    def _writing(self, problem: str) -> Any:
        return self._opened.errors_of(f"{self._shown!r} {problem}", ExportError)

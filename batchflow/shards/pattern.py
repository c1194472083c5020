"""The names of a set's files: ``night-{shard}.duckdb`` stands for ``night-1.duckdb`` and so on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchflow.errors import InvalidOptionError
from batchflow.store.schema.shard import READY

PLACEHOLDER: Final = "{shard}"
_BUILDING: Final = ".building"


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Return whether a path has the placeholder for the number of a shard."""
    return PLACEHOLDER in os.fspath(path)


@dataclass(frozen=True)
class Pattern:
    """The path of the files of a set, with ``{shard}`` once in its last part.

    Raises:
        InvalidOptionError: It is somewhere else, or there twice.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the path."""
        folder, name = os.path.split(self.text)
        if name.count(PLACEHOLDER) != 1 or PLACEHOLDER in folder:
            raise InvalidOptionError(
                f"The path {self.text!r} has to have {PLACEHOLDER} once, in the name of the file, "
                'like "night-{shard}.duckdb".',
                option="path",
            )

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Pattern:
        """Return the pattern with the real path of its folder."""
        folder, name = os.path.split(os.fspath(path))
        return cls(os.path.join(os.path.realpath(folder), name))

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return Path(self.text).parent

    @property
    def name(self) -> str:
        """The name of the files, with the placeholder."""
        return Path(self.text).name

    @property
    def building(self) -> Path:
        """The folder in which files are made; a killed process may have left it unfinished."""
        return self.folder / f"{self.name}{_BUILDING}"

    @property
    def ready(self) -> Path:
        """The folder of files that are complete and not all in their places yet."""
        return self.folder / f"{self.name}{READY}"

    def path(self, shard: int) -> Path:
        """Return the path of a shard."""
        return self.folder / self.file(shard)

    def file(self, shard: int) -> str:
        """Return the name of the file of a shard."""
        return self.name.replace(PLACEHOLDER, str(shard))

    def found(self) -> dict[int, Path]:
        """Return the files that there are with such names, by the number in their name."""
        before, after = map(re.escape, self.name.split(PLACEHOLDER))
        names = re.compile(f"{before}([1-9][0-9]*){after}")
        folder = self.folder
        matches = (
            (names.fullmatch(each.name) for each in folder.iterdir()) if folder.is_dir() else ()
        )
        return {
            int(each[1]): folder / each[0] for each in sorted(filter(None, matches), key=_number)
        }


def _number(found: re.Match[str]) -> int:
    return int(found[1])

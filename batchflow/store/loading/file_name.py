"""The format and the compression of a file, which its name states."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from batchflow.errors import SourceError
from batchflow.store.urls.url import is_url, path_within


class FileFormat(enum.Enum):
    """The format of a file."""

    PARQUET = "Parquet"
    CSV = "CSV"
    JSON = "JSON"


_FORMATS: Final = {
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".json": FileFormat.JSON,
    ".jsonl": FileFormat.JSON,
    ".ndjson": FileFormat.JSON,
}
_COMPRESSIONS: Final = (".gz", ".zst")


def format_of(name: str) -> FileFormat:
    """Return the format of a file, by its path or its URL.

    Raises:
        SourceError: The ending of its name is that of no format.
    """
    endings = suffixes_of(path_within(name) if is_url(name) else name)
    found = _FORMATS.get(endings[0]) if endings else None
    if found is None:
        raise SourceError(
            f"The format of {name!r} is unknown, because its name doesn't end in one of "
            f"{', '.join(_FORMATS)} (and {' or '.join(_COMPRESSIONS)}). Rename it, or give SQL "
            "that reads it."
        )
    return found


def suffixes_of(name: str) -> list[str]:
    """Return the suffixes of a name that state its format and its compression, in lower case."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compressed = [each for each in suffixes[-1:] if each in _COMPRESSIONS]
    return suffixes[-1 - len(compressed) :]


def refuse_several_formats(names: Iterable[str]) -> None:
    """Raise SourceError if files have several formats, or an unknown one."""
    _, *others = found = sorted({format_of(name).value for name in names})
    if others:
        raise SourceError(f"The source has {' and '.join(found)} files. Load one format at a time.")

"""Read from the text of a URL, without opening it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from batchflow.errors import InvalidOptionError

_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")
_LOCAL: Final = ("file://", "local://")
# fsspec reads what follows from what stands behind it: a file within an archive, say.
_CHAIN: Final = "::"
_WEB: Final = frozenset({"http", "https"})


def is_url(given: object) -> bool:
    """Return whether a source or a destination is a URL, and not a path."""
    return isinstance(given, str) and not given.startswith(_LOCAL) and bool(_SCHEME.match(given))


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, in lower case."""
    found = _SCHEME.match(url)
    assert found is not None
    return found["scheme"].lower()


def local_path(given: str | os.PathLike[str]) -> str:
    """Return the path that is given as itself or as a URL of this machine's files."""
    path = os.fspath(given)
    prefix = next((each for each in _LOCAL if path.startswith(each)), "")
    return path.removeprefix(prefix)


def path_within(url: str) -> str:
    """Return a URL's path, of which folders and the ending are read."""
    first = url.partition(_CHAIN)[0] if scheme_of(url) not in _WEB else url
    path = first.partition("://")[2]
    # A key of object storage may contain these characters.
    return re.split(r"[?#]", path)[0] if scheme_of(url) in _WEB else path


def require_folders(urls: object) -> None:
    """Raise InvalidOptionError unless allowed URLs are those of folders."""
    if isinstance(urls, str | bytes) or not isinstance(urls, Sequence):
        raise InvalidOptionError(
            f"allowed_urls is of type {type(urls).__name__}; give a list of URLs, like "
            '["s3://bucket/folder/"].',
            option="allowed_urls",
        )
    for url in urls:
        if not is_folder(url):
            raise InvalidOptionError(
                f"allowed_urls has {url!r}; give the URL of a folder that ends in a slash, like "
                '"s3://bucket/folder/".',
                option="allowed_urls",
            )


def is_folder(url: object) -> bool:
    """Return whether something is the URL of a folder, with a slash at its end."""
    return is_url(url) and str(url).endswith("/") and str(url).partition("://")[2].strip("/") != ""


def is_allowed(url: str, prefixes: Sequence[str]) -> bool:
    """Return whether a URL is within one of some folders, whatever its glob matches."""
    # Servers and clients may resolve dots, also encoded ones, and then leave the folder.
    parts = re.split(r"[/\\?#]", unquote(unquote(url)))
    leaves = ".." in parts or "." in parts or _CHAIN in url
    return not leaves and any(url.startswith(prefix) for prefix in prefixes)

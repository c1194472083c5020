"""The file system of a URL, and what its library says went wrong, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import duckdb

from batchflow.credentials import HIDDEN, without_credentials
from batchflow.errors import BatchflowError, SourceError
from batchflow.store.urls.url import scheme_of

StorageOptions = Mapping[str, Any]

_EXTRAS: Final = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), ("adlfs", "azure")),
}
# Other extras of fsspec have the name of their scheme.
_FSSPEC: Final = {"https": "http"}
_MOST_CHARACTERS: Final = 300
# Options that say where the files are. All others may be secrets.
_PLACES: Final = frozenset({"endpoint_url", "region_name", "region", "project"})
_SECRET_NAME: Final = re.compile(
    r"key|secret|token|passw|pwd|credential|sas|connection", re.IGNORECASE
)
# A shorter value would also hide parts of common words.
_SHORTEST_SECRET: Final = 4
_SHORTEST_OF_ENVIRONMENT: Final = 8


@dataclass(frozen=True)
class OpenedUrl:
    """A file system of fsspec, and a path in it.

    Attributes:
        fs: The file system; a new one.
        path: The path, which may be a glob.
        behind: What follows the path in a chain of URLs, such as an archive.
        secrets: What no message may show.
    """

    fs: Any
    path: str
    behind: str
    secrets: frozenset[str]

    def url_of(self, name: str) -> str:
        """Return the URL of one of its files."""
        return f"{self.fs.unstrip_protocol(name)}{self.behind}"

    @contextmanager
    def errors_of(
        self, doing: str, error_type: type[BatchflowError] = SourceError
    ) -> Iterator[None]:
        """Raise errors of the library as errors of batchflow, which begin with `doing`."""
        with _translated(doing, error_type, self.secrets):
            yield


def open_url(
    url: str, options: StorageOptions | None, error_type: type[BatchflowError] = SourceError
) -> OpenedUrl:
    """Return the file system of a URL, which is not asked for anything yet.

    Args:
        url: The URL.
        options: What its library takes, such as credentials; they are in no message.
        error_type: What to raise.
    """
    secrets = _secrets(url, options or {})
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _missing(url, error_type) from None
    try:
        with _translated(f"{without_credentials(url)!r} can't be opened", error_type, secrets):
            # fsspec keeps file systems with what they listed, and with credentials that may expire.
            fs, path = url_to_fs(url, **{**(options or {}), "skip_instance_cache": True})
    except ImportError:
        raise _missing(url, error_type) from None
    return OpenedUrl(fs, path, _behind(url), secrets)


def _behind(url: str) -> str:
    _, chain, behind = url.partition("::")
    return chain + behind if "://" in behind else ""


def _missing(url: str, error_type: type[BatchflowError]) -> BatchflowError:
    package, extra = _EXTRAS.get(scheme_of(url), (None, None))
    scheme = scheme_of(url)
    install = (
        f"'batchflow-engine[{extra}]'" if extra else f"'fsspec[{_FSSPEC.get(scheme, scheme)}]'"
    )
    needs = f"the package {package}" if package else "a package that isn't installed"
    return error_type(
        f"{without_credentials(url)!r} needs {needs}. Install it: pip install {install}."
    )


@contextmanager
def _translated(
    doing: str, error_type: type[BatchflowError], secrets: frozenset[str]
) -> Iterator[None]:
    try:
        yield
    except (BatchflowError, ImportError, duckdb.InterruptException):
        raise
    except Exception as error:
        # Of any class: each library has its own.
        raise error_type(f"{doing}: {_problem(error, secrets)}.") from None


def _problem(error: Exception, secrets: frozenset[str]) -> str:
    text = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    # The longest first, as one may contain another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = " ".join(without_credentials(text).split())[:_MOST_CHARACTERS].rstrip(". ")
    match error:
        case PermissionError():
            return f"access is denied ({text})" if text else "access is denied"
        case FileNotFoundError():
            return "there is no such file, folder or bucket"
        case TimeoutError() | ConnectionError():
            return f"the connection failed ({text or type(error).__name__})"
        case _:
            return text or type(error).__name__


def _secrets(url: str, options: StorageOptions) -> frozenset[str]:
    found = {text for text in _texts(options) if len(text) >= _SHORTEST_SECRET}
    found.update(
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_OF_ENVIRONMENT
    )
    try:
        parts = urlsplit(url)
        of_url = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
    except ValueError:
        of_url = []
    found.update(text for text in of_url if text and len(text) >= _SHORTEST_SECRET)
    return frozenset(found)


def _texts(options: Any) -> Iterator[str]:
    match options:
        case str():
            yield options
        case bytes():
            yield options.decode(errors="replace")
        case Mapping():
            for name, value in options.items():
                if name not in _PLACES:
                    yield from _texts(value)
        case list() | tuple():
            for value in options:
                yield from _texts(value)

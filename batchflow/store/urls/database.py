"""A connection to a SQL database through ADBC, whose errors show no secret and no value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from batchflow.credentials import without_credentials
from batchflow.errors import BatchflowError

_SCHEMES: Final = ("postgresql://", "postgres://")
# What the server says about a statement. It may add the values of a row as DETAIL or CONTEXT.
_SERVER: Final = re.compile(r"ERROR:\s+(?P<text>[^\n]+)")
_CONNECTING: Final = re.compile(r"(?:FATAL:\s+|failed: )(?P<text>[^\n]+)\s*$", re.MULTILINE)
# These quote the value that they are about.
_ABOUT_VALUES: Final = re.compile(
    r"^(?P<kind>invalid input (?:syntax|value) for [^:]+|value \"[^:]*\" is out of range for type "
    r"\w+|invalid byte sequence[^:]*|[^:\"]* out of range)"
)
_QUOTED_VALUE: Final = re.compile(r"\"[^\"]*\" ")


def is_database(given: object) -> bool:
    """Return whether a destination is the URL of a database."""
    return isinstance(given, str) and given.lower().startswith(_SCHEMES)


@contextmanager
def connected(url: str, doing: str, error_type: type[BatchflowError]) -> Iterator[Any]:
    """Connect to a database until the end of the block; without a commit, all is rolled back.

    Args:
        url: The URL.
        doing: How messages begin.
        error_type: What is raised in place of errors of the database.
    """
    try:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise error_type(
            f"{without_credentials(url)!r} needs the package adbc-driver-postgresql. Install it: "
            "pip install 'batchflow-engine[postgres]'."
        ) from None
    try:
        with closing(dbapi.connect(url)) as connection:
            yield connection
    except Error as error:
        raise error_type(f"{doing}: {problem_of(error, url)}.") from None


def problem_of(error: Exception, url: str) -> str:
    """Return what a database says is wrong, without the URL's secrets and a row's values."""
    text = str(error)
    found = _SERVER.search(text) or _CONNECTING.search(text)
    if found is None:
        # The library's own words may quote a part of the URL.
        return "the URL isn't valid, or the connection failed"
    shown = found["text"].strip()
    about_value = _ABOUT_VALUES.match(shown)
    if about_value is not None:
        shown = _QUOTED_VALUE.sub("", about_value["kind"])
    for secret in sorted(_secrets(url), key=len, reverse=True):
        shown = shown.replace(secret, "***")
    return without_credentials(shown).rstrip(". ")


def _secrets(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
        found = {parts.password, *(v for k, v in parse_qsl(parts.query) if "passw" in k.lower())}
    except ValueError:
        return set()
    given = {secret for secret in found if secret}
    return given | {unquote(secret) for secret in given}

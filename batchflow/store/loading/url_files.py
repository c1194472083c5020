"""Files at URLs as a source: listed once, then copied into a folder of the store's own.

The ledger needs each file's whole content, and DuckDB reads a file several times: for its header
and its keys, and again if rows conflict. So a copy costs the network least. It is complete before
the load takes the store's write lock, and nothing can change it meanwhile.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote

from batchflow.credentials import without_credentials
from batchflow.errors import BatchflowError, SourceError
from batchflow.store.database.spill import DOWNLOADS
from batchflow.store.loading.file_name import suffixes_of
from batchflow.store.urls.filesystem import OpenedUrl, StorageOptions, open_url
from batchflow.store.urls.url import path_within

_BLOCK_BYTES: Final = 8 * 1024 * 1024
_PARALLEL: Final = 8
_LOOK_SECONDS: Final = 0.1
_GLOB: Final = frozenset("*?[")
_ETAGS: Final = ("ETag", "etag", "md5Hash", "content_md5")
_TIMES: Final = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


@dataclass(frozen=True)
class ListedFile:
    """A file as the listing of its folder had it.

    Attributes:
        url: Its URL, with what may be secret in it.
        given: The URL or glob that the caller gave for it.
        name: What its file system calls it.
        size: Its size in bytes, if that is known.
        etag: What its server calls its content; None if two contents may have the same.
        modified_at: When it was modified, if that is known.
        state: All of this, to compare it with a later listing.
    """

    url: str
    given: str
    name: str
    size: int | None
    etag: str | None
    modified_at: datetime | None
    state: tuple[object, ...]

    @property
    def shown(self) -> str:
        """Its URL without what is secret in it."""
        return without_credentials(self.url)


@dataclass(frozen=True)
class Copy:
    """The copy of a file.

    Attributes:
        path: Where it is; folders named ``field=value`` are those of its URL.
        digest: The SHA-256 of its bytes.
        size: Its size in bytes.
    """

    path: Path
    digest: str
    size: int


class UrlListing:
    """The files at one URL or glob, as they were when they were listed.

    Args:
        url: The URL or glob.
        options: What its library takes.

    Raises:
        SourceError: There is none, or the library can't list them.
    """

    def __init__(self, url: str, options: StorageOptions | None) -> None:
        self._url = url
        self._shown = without_credentials(url)
        self._opened: OpenedUrl = open_url(url, options)
        self.files: Sequence[ListedFile] = self._listed()

    def copy(
        self, wanted: Sequence[ListedFile], folder: Path, check: Callable[[], None]
    ) -> list[Copy]:
        """Copy files of this listing into a folder.

        Args:
            wanted: The files.
            folder: The folder.
            check: Called again and again; what it raises ends the copying.

        Raises:
            SourceError: A file can't be read to its end, or has changed since it was listed.
        """
        together = _PARALLEL if getattr(self._opened.fs, "async_impl", False) else 1
        pool = ThreadPoolExecutor(together, "batchflow-download")
        try:
            copying = [
                pool.submit(self._copy, file, folder / str(number), check)
                for number, file in enumerate(wanted)
            ]
            pending = set(copying)
            while pending:
                done, pending = wait(pending, _LOOK_SECONDS, FIRST_EXCEPTION)
                for each in done:
                    each.result()
                check()
        finally:
            # A server that doesn't answer holds up a thread, but not what was interrupted.
            pool.shutdown(wait=False, cancel_futures=True)
        copies = [each.result() for each in copying]
        if wanted:
            self._require_unchanged(wanted)
        return copies

    def _copy(self, file: ListedFile, folder: Path, check: Callable[[], None]) -> Copy:
        path = _path_of_copy(file, folder)
        digest = hashlib.sha256()
        size = 0
        reading = self._opened.errors_of(f"The source {file.shown!r} can't be read")
        with reading, path.open("xb") as copy, self._opened.fs.open(file.name, "rb") as content:
            while block := content.read(_BLOCK_BYTES):
                check()
                copy.write(block)
                digest.update(block)
                size += len(block)
        if file.size is not None and size != file.size:
            raise SourceError(
                f"The source {file.shown!r} can't be read: {size:,} bytes arrived of {file.size:,}."
                " Load it again."
            )
        return Copy(path, digest.hexdigest(), size)

    def _require_unchanged(self, wanted: Sequence[ListedFile]) -> None:
        self._opened.fs.invalidate_cache()
        now = {file.name: file.state for file in self._listed()}
        for file in wanted:
            if now.get(file.name) != file.state:
                raise SourceError(f"{file.shown!r} changed while it was read. Load it again.")

    def _listed(self) -> list[ListedFile]:
        found = self._found()
        if not found:
            raise SourceError(
                f"There is no file at {self._shown!r}. Give the URL or glob of one, and check that "
                "its bucket or server exists."
            )
        return [self._file(name, found[name]) for name in sorted(found)]

    def _found(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what is known of each file at the URL, by its name in the file system."""
        fs, path = self._opened.fs, self._opened.path
        is_glob = bool(_GLOB & set(path))
        with self._opened.errors_of(f"The source {self._shown!r} can't be listed"):
            with suppress(FileNotFoundError, *((OSError, ValueError) if is_glob else ())):
                # A file's own name may have the characters of a glob.
                info = fs.info(path)
                if info["type"] != "directory":
                    return {path: info}
                if not is_glob:
                    self._refuse_folder()
            if not is_glob:
                return {}
            found = fs.glob(path, detail=True)
        return {name: info for name, info in found.items() if info["type"] == "file"}

    def _refuse_folder(self) -> None:
        example = f"{self._shown.rstrip('/')}/*.parquet"
        raise SourceError(f"{self._shown!r} is a folder. Give its files, like {example!r}.")

    def _file(self, name: str, info: Mapping[str, Any]) -> ListedFile:
        url = self._url if name == self._opened.path else self._opened.url_of(name)
        size, etag, modified_at = info.get("size"), _etag(info), _modified_at(info)
        state = (size, etag, *(info.get(key) for key in (*_TIMES, "generation", "VersionId")))
        return ListedFile(url, self._url, name, size, etag, modified_at, state)


@contextmanager
def download_folder(beside: str) -> Iterator[Path]:
    """Create a folder that only its owner can read, until the end of the block.

    Args:
        beside: The folder for it; an empty text for the system's temporary one.
    """
    path = Path(tempfile.mkdtemp(prefix=DOWNLOADS, dir=beside or None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def naming_urls(copies: Mapping[str, str]) -> Iterator[None]:
    """Name the URL of a copy in place of its path in errors of batchflow, DuckDB's among them.

    Args:
        copies: The URL by the path of its copy; an empty path stands for none.
    """
    try:
        yield
    except BatchflowError as error:
        for path, url in copies.items() if any(DOWNLOADS in str(arg) for arg in error.args) else ():
            error.args = tuple(
                text.replace(path, url) if isinstance(text, str) else text for text in error.args
            )
        raise


def _path_of_copy(file: ListedFile, folder: Path) -> Path:
    """Return a path of plain characters whose folders and suffixes mean the same as the URL's."""
    within = PurePosixPath(path_within(file.url))
    for part in within.parts[:-1]:
        name, equals, value = part.partition("=")
        if equals:
            folder = folder / f"{quote(unquote(name), safe='')}={quote(unquote(value), safe='')}"
    suffixes = "".join(suffixes_of(within.name))
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SourceError(
            f"The source {file.shown!r} can't be copied into {str(folder)!r}: {error.strerror}."
        ) from None
    return folder / f"file{suffixes}"


def _etag(info: Mapping[str, Any]) -> str | None:
    found = next((str(info[key]) for key in _ETAGS if info.get(key)), None)
    # A weak one may stay when the content changes.
    return None if found is None or found.startswith("W/") else found


def _modified_at(info: Mapping[str, Any]) -> datetime | None:
    found = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    match found:
        case datetime():
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        case int() | float():
            return datetime.fromtimestamp(found, UTC)
        case _:
            return None

"""The files of a load's URLs, as copies; those that were loaded before aren't copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchflow.credentials import without_credentials
from batchflow.errors import InvalidOptionError, SourceError
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.connection import Connection
from batchflow.store.loading.file_name import refuse_several_formats
from batchflow.store.loading.ledger import SourceFile, known_digests
from batchflow.store.loading.sources import is_sql, paths_of
from batchflow.store.loading.url_files import (
    ListedFile,
    UrlListing,
    download_folder,
    naming_urls,
)
from batchflow.store.urls.url import is_allowed, is_url


def urls_of(request: TriggerMany) -> list[str]:
    """Return the URLs in the source of a load.

    Raises:
        InvalidOptionError: Options are given for URLs, and there is none.
    """
    given = [] if is_sql(request.source) else paths_of(request.source)
    urls = [path for path in given if isinstance(path, str) and is_url(path)]
    if request.storage_options is not None and not urls:
        raise InvalidOptionError(
            "storage_options are for URLs, and the source has none.", option="storage_options"
        )
    return urls


def require_allowed(request: TriggerMany, folders: Sequence[str]) -> None:
    """Raise SourceError if a client's load has a URL outside of some folders, or options for it."""
    if request.storage_options is not None:
        raise InvalidOptionError(
            "An engine takes no storage_options of its clients.", option="storage_options"
        )
    for url in urls_of(request):
        if not is_allowed(url, folders):
            raise SourceError(
                f"The engine may not load {without_credentials(url)!r} for other processes. Open "
                "it with EngineConfig(allowed_urls=[…]), or 'batchflow run --allow-url …', and the "
                "URL of a folder around it, or load it in the engine's own process."
            )


@contextmanager
def copied_urls(
    connection: Connection, workflow: str, request: TriggerMany
) -> Iterator[dict[str, list[SourceFile]]]:
    """Copy the files at the URLs of a load until the end of the block, and return them by URL.

    All are listed before the first is copied. Errors within the block name the URLs of the copies.

    Raises:
        SourceError: There is no file at a URL, or one can't be read.
        InvalidOptionError: Options are given for URLs, and there is none.
    """
    listings = {url: UrlListing(url, request.storage_options) for url in urls_of(request)}
    if not listings:
        yield {}
        return
    refuse_several_formats(file.shown for each in listings.values() for file in each.files)
    with download_folder(_temporary_folder(connection)) as folder:
        found = {
            url: _files(connection, workflow, request, listing, folder / str(number))
            for number, (url, listing) in enumerate(listings.items())
        }
        with naming_urls({file.name: file.shown for each in found.values() for file in each}):
            yield found


def _temporary_folder(connection: Connection) -> str:
    with connection.reading() as cursor:
        [(path,)] = cursor.execute("SELECT current_setting('temp_directory')").fetchall()
    return str(path)


def _files(
    connection: Connection,
    workflow: str,
    request: TriggerMany,
    listing: UrlListing,
    folder: Path,
) -> list[SourceFile]:
    known = {} if request.again else _known(connection, workflow, listing.files)
    new = [file for file in listing.files if file.shown not in known]
    copies = dict(zip(new, listing.copy(new, folder, connection.interruption()), strict=True))
    return [
        _source_file(file, "", known[file.shown], file.size or 0)
        if file not in copies
        else _source_file(file, str(copies[file].path), copies[file].digest, copies[file].size)
        for file in listing.files
    ]


def _known(connection: Connection, workflow: str, files: Sequence[ListedFile]) -> dict[str, str]:
    marked = {file.shown: file.etag for file in files if file.etag is not None}
    with connection.reading() as cursor:
        return known_digests(cursor, workflow, marked)


def _source_file(file: ListedFile, path: str, digest: str, size: int) -> SourceFile:
    return SourceFile(
        name=path,
        given=without_credentials(file.given),
        path=file.shown,
        size=size,
        modified_ns=0 if file.modified_at is None else int(file.modified_at.timestamp() * 1e9),
        digest=digest,
        etag=file.etag,
        is_copy=True,
    )

"""The place and the form of an export: checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias

from batchflow.credentials import without_credentials
from batchflow.errors import InvalidOptionError
from batchflow.export.form import ExportForm
from batchflow.operation import options

Exported: TypeAlias = Literal["runs", "transitions", "errors"]
ExportFormat: TypeAlias = Literal["parquet", "csv", "json"]

EXPORTED: Final = ("runs", "transitions", "errors")


_FORMS: Final = {
    "parquet": ExportForm.PARQUET,
    "csv": ExportForm.CSV,
    "json": ExportForm.JSON,
}
_ENDINGS: Final = {
    ".parquet": ExportForm.PARQUET,
    ".csv": ExportForm.CSV,
    ".json": ExportForm.JSON,
    ".jsonl": ExportForm.JSON,
    ".ndjson": ExportForm.JSON,
}


@dataclass(frozen=True, kw_only=True)
class ExportTarget:
    """A file or a folder, and how it is written.

    Attributes:
        to: Its path or URL, with what is secret in it.
        is_url: Whether it is a URL.
        is_folder: Whether it is a folder.
        form: The form of its files.
        partition_by: The columns by whose values there are folders.
        spreadsheet: Whether a spreadsheet may take no text of a CSV file for a formula.
        replace: Whether an earlier export there is replaced.
        storage_options: What fsspec takes for a URL.
    """

    to: str
    is_url: bool
    is_folder: bool
    form: ExportForm
    partition_by: tuple[str, ...]
    spreadsheet: bool
    replace: bool
    storage_options: Mapping[str, Any] | None

    @property
    def shown(self) -> str:
        """Its path or URL, without what is secret in it."""
        return without_credentials(self.to)

    def within(self, folder: str) -> ExportTarget:
        """Return a folder in it, written in the same way."""
        return replace(self, to=f"{self.to.rstrip('/')}/{folder}")


def export_target(
    to: object,
    *,
    format: object,  # noqa: A002 - the name of the option
    partition_by: Sequence[str] | str,
    spreadsheet: object,
    replace: object,
    storage_options: object,
    as_folder: bool,
) -> ExportTarget:
    """Return where an export goes, by the options as callers give them.

    Args:
        to: The path or the URL.
        format: The format; None for that of the ending, and for Parquet in a folder.
        partition_by: The columns by whose values there are folders.
        spreadsheet: Whether CSV is for a spreadsheet.
        replace: Whether an earlier export is replaced.
        storage_options: What fsspec takes for a URL.
        as_folder: Whether a folder is wanted, whatever its name is.

    Raises:
        InvalidOptionError: An option has a value that isn't allowed, or doesn't fit the others.
    """
    # fsspec isn't needed for this.
    from batchflow.store.urls.url import is_url, local_path, path_within

    text = options.path_text(to, "to", "a path or a URL")
    url = is_url(text)
    path = path_within(text) if url else local_path(text)
    _require_options(spreadsheet, replace, storage_options, format, is_url=url)
    form, is_folder = _form_of(path, text, format, as_folder=as_folder)
    columns = options.names_of(partition_by, "partition_by")
    if columns and not is_folder:
        raise InvalidOptionError(
            f"partition_by writes a folder, but {without_credentials(text)!r} is the name of a "
            "file.",
            option="partition_by",
        )
    if spreadsheet and form is not ExportForm.CSV:
        raise InvalidOptionError(
            f"spreadsheet is for CSV, and {without_credentials(text)!r} isn't a .csv file.",
            option="spreadsheet",
        )
    return ExportTarget(
        to=text if url else path,
        is_url=url,
        is_folder=is_folder,
        form=form,
        partition_by=columns,
        spreadsheet=bool(spreadsheet),
        replace=bool(replace),
        storage_options=storage_options if isinstance(storage_options, Mapping) else None,
    )


def _require_options(
    spreadsheet: object, replace: object, storage_options: object, given: object, *, is_url: bool
) -> None:
    options.require_flag(spreadsheet, "spreadsheet")
    options.require_flag(replace, "replace")
    options.require_mapping(storage_options, "storage_options")
    if given is not None:
        options.require_choice(given, tuple(_FORMS), "format")
    if storage_options is not None and not is_url:
        raise InvalidOptionError(
            "storage_options are for a URL, and to is a path.", option="storage_options"
        )


def _form_of(path: str, shown: str, given: object, *, as_folder: bool) -> tuple[ExportForm, bool]:
    """Return the form of the files, and whether there is a folder of them."""
    wanted = _FORMS[str(given)] if given is not None else None
    if not PurePosixPath(path).name and not as_folder:
        raise InvalidOptionError("Give the name of a file or folder to write to.", option="to")
    suffix = Path(path).suffix.lower()
    if as_folder and suffix in _ENDINGS and not path.endswith("/"):
        raise InvalidOptionError(
            f"since writes a folder for each part, and {without_credentials(shown)!r} is the name "
            "of a file; give a folder.",
            option="to",
        )
    if as_folder or not suffix or path.endswith("/"):
        return wanted or ExportForm.PARQUET, True
    form = _ENDINGS.get(suffix)
    if form is None:
        raise InvalidOptionError(
            f"{without_credentials(shown)!r} ends in {suffix!r}, which is no format of exports. "
            "Give a name that ends in .parquet or .csv, or a folder: a name without an ending, or "
            "with a slash. JSON ends in .json or .jsonl.",
            option="to",
        )
    if wanted not in (None, form):
        raise InvalidOptionError(
            f"format is {given!r}, but {without_credentials(shown)!r} ends in {suffix!r}.",
            option="format",
        )
    return form, False

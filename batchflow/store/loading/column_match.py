"""Match the columns of a source to the fields that they are loaded into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchflow.definition.fields import Field
from batchflow.errors import SourceError

FOREIGN_ID_COLUMN = "foreign_id"


@dataclass(frozen=True)
class ColumnMatch:
    """The columns of a source that are loaded.

    Attributes:
        foreign_id: The column with the foreign ids.
        columns: The source's column for each field that the source has, by the field's name.
    """

    foreign_id: str
    columns: dict[str, str]


def match_columns(
    source: str,
    names: Sequence[str],
    fields: Sequence[Field],
    foreign_id: str | None,
    strict: bool,
) -> ColumnMatch:
    """Match a source's columns to the fields by name: exactly, or else without regard to case.

    Raises:
        SourceError: There is no column of foreign ids, required fields have no column, a name
            fits two columns, or there are other columns and `strict` is true. The message lists
            all problems.
    """
    problems: list[str] = []
    columns = _columns_of_fields(names, fields, problems)
    keys = _foreign_id_column(names, foreign_id, problems)
    missing = [field.name for field in fields if field.required and field.name not in columns]
    if missing:
        problems.append(f"has no column for {_listed(missing)}, and these fields have no default")
    extra = [name for name in names if name not in {*columns.values(), keys}]
    if strict and extra:
        problems.append(f"has {_listed(extra)}, which are not fields, and strict is true")
    if problems or keys is None:
        has = f"its columns are {_listed(names)}" if names else "it has no columns"
        raise SourceError(f"{source} {'; it '.join(problems)}; {has}.")
    return ColumnMatch(keys, columns)


def refuse_alike(
    source: str, written: Sequence[str], fields: Sequence[Field], foreign_id: str | None
) -> None:
    """Raise SourceError if several columns match a field or the foreign id except for case.

    DuckDB would take the first of them, whichever you mean.
    """
    for name in (*(field.name for field in fields), foreign_id or FOREIGN_ID_COLUMN):
        alike = [one for one in written if one.lower() == name.lower()]
        if len(alike) > 1:
            raise SourceError(
                f"{source} has the columns {_listed(alike)}, which SQL can't distinguish; rename "
                "all but one, or drop them."
            )


def refuse_twice(file: str, written: Sequence[str]) -> None:
    """Raise SourceError if columns of a file differ only in case, or not at all."""
    lowered = list(map(str.lower, written))
    twice = [name for name in written if lowered.count(name.lower()) > 1]
    if twice:
        raise SourceError(
            f"{file!r} has the columns {_listed(twice)}, which SQL can't distinguish; rename all "
            "but one, or drop them."
        )


def matched_fields(names: Sequence[str], fields: Sequence[Field]) -> dict[str, Field]:
    """Return the fields by the names of their columns in a source."""
    columns = _columns_of_fields(names, fields, [])
    return {columns[field.name]: field for field in fields if field.name in columns}


def _columns_of_fields(
    names: Sequence[str], fields: Sequence[Field], problems: list[str]
) -> dict[str, str]:
    found = {field.name: _column(names, field.name, problems) for field in fields}
    return {field: column for field, column in found.items() if column is not None}


def _column(names: Sequence[str], wanted: str, problems: list[str]) -> str | None:
    if wanted in names:
        return wanted
    alike = [name for name in names if name.lower() == wanted.lower()]
    if len(alike) > 1:
        problems.append(f"has {_listed(alike)}, which all match {wanted!r}; rename all but one")
    return alike[0] if alike else None


def _foreign_id_column(
    names: Sequence[str], foreign_id: str | None, problems: list[str]
) -> str | None:
    column = _column(names, foreign_id or FOREIGN_ID_COLUMN, problems)
    if column is None and foreign_id is None:
        problems.append(
            f"has no column {FOREIGN_ID_COLUMN!r} (name the column that is your key of a record "
            "with foreign_id=)"
        )
    elif column is None:
        problems.append(f"has no column {foreign_id!r} for the foreign ids")
    return column


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))

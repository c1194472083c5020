"""Output: data to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.encoding import encodable_json
from batchflow.cli.streams import discard_output, discarding_when_closed
from batchflow.credentials import without_credentials
from batchflow.export.column_casts import refuse_duplicate_names

if TYPE_CHECKING:
    from batchflow.store import Relation

_STDOUT, _STDERR = 1, 2
_ENCODED_ROWS = 10_000
# A table has at most this many rows; --json has all.
_PIPED_ROWS = 10_000
_TERMINAL_ROWS = 40


def note(text: str) -> None:
    """Write a message to stderr, without passwords of URLs; nothing if stderr was closed."""
    with discarding_when_closed(sys.stderr):
        click.echo(without_credentials(text), err=True)


def write(text: str, *, flush: bool = True) -> bool:
    """Write data to stdout; return False if its reader closed the pipe, which is no error."""
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes the buffer again when it exits.
        discard_output(sys.stdout)
        return False
    return True


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Redirect stdout to stderr, so that prints of user code and workers don't mix with data."""
    sys.stdout.flush()
    data = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(data, _STDOUT)
        os.close(data)


def write_document(document: object) -> None:
    """Write one JSON document."""
    write(f"{json.dumps(document, default=_json_value, indent=2)}\n")


def write_relations(relations: Sequence[Relation], *, as_json: bool) -> None:
    """Write the results of queries as tables, or as one JSON array with an object per row.

    Raises:
        QueryError: A query failed while it was executed.
    """
    if as_json:
        _write_rows(chain.from_iterable(map(_json_rows, relations)))
    else:
        write("\n".join(map(_table, relations)))


def json_rows(relation: Relation) -> list[str]:
    """Return the rows of a query as JSON objects."""
    return list(chain.from_iterable(_json_rows(relation)))


def rows_of(relation: Relation) -> list[dict[str, Any]]:
    """Return the rows of a query as dicts, with values as in JSON."""
    return [json.loads(row, parse_float=_Written) for row in json_rows(relation)]


class _Written(float):
    """A number that is printed with the digits that JSON has."""

    _digits: str

    def __new__(cls, digits: str) -> _Written:
        number = super().__new__(cls, digits)
        number._digits = digits
        return number

    def __repr__(self) -> str:
        return self._digits


def write_members(members: Mapping[str, str]) -> None:
    """Write one JSON document of members that are JSON already, so that their numbers are kept."""
    lines = ",\n".join(f"  {json.dumps(name)}: {text}" for name, text in members.items())
    write(encodable_json(f"{{\n{lines}\n}}\n"))


def _write_rows(batches: Iterable[list[str]]) -> None:
    separator = "[\n"
    for rows in batches:
        if not write(encodable_json(separator + ",\n".join(rows))):
            return
        separator = ",\n"
    write("[]\n" if separator == "[\n" else "\n]\n")


def _json_rows(relation: Relation) -> Iterator[list[str]]:
    """Yield batches of rows as JSON objects; DuckDB writes them, so all types are supported."""
    from batchflow.store.query.json_value import json_object
    from batchflow.store.query.relation import executing
    from batchflow.store.schema.layout import quote

    refuse_duplicate_names(relation, "JSON")
    values = {name: quote(name) for name in relation.columns}
    rows = relation.select(f"{json_object(values, relation.types)} AS row")
    with executing():
        for batch in rows.to_arrow_reader(_ENCODED_ROWS):
            yield batch.column(0).to_pylist()


def _json_value(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _table(relation: Relation) -> str:
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        return relation.text(_TERMINAL_ROWS, shutil.get_terminal_size().columns) + "\n"
    return relation.text(_PIPED_ROWS) + "\n"

"""What is written where: data to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.column_casts import refuse_duplicate_names
from batchflow.cli.streams import discard_output, discarding_when_closed

if TYPE_CHECKING:
    from batchflow.store import Relation

_STDOUT, _STDERR = 1, 2
_ENCODED_ROWS = 10_000
# Of more rows than this, --json says all.
_PIPED_ROWS = 10_000
_TERMINAL_ROWS = 40


def note(text: str) -> None:
    """Tell people something that is no data, if they are still there."""
    with discarding_when_closed(sys.stderr):
        click.echo(text, err=True)


def write(text: str, *, flush: bool = True) -> bool:
    """Write data, and tell whether anybody still reads it.

    Whoever closed the other end has had enough: that is no error.
    """
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would break again when Python flushes it at its end.
        discard_output(sys.stdout)
        return False
    return True


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Let what the user's own code prints, here or in a worker, go where it spoils no data."""
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
    write(f"{json.dumps(document, default=_plain, indent=2)}\n")


def write_relations(relations: Sequence[Relation], *, as_json: bool) -> None:
    """Write queries' results: tables for people, or one JSON array with an object for each row.

    Raises:
        QueryError: one failed while it was executed.
    """
    if as_json:
        _write_rows(chain.from_iterable(map(_encoded, relations)))
    else:
        write("\n".join(map(_table, relations)))


def rows_of(relation: Relation) -> list[dict[str, Any]]:
    """Answer a query's rows by column name, with the values that JSON has for them."""
    return [json.loads(row) for rows in _encoded(relation) for row in rows]


def _write_rows(batches: Iterable[list[str]]) -> None:
    separator = "[\n"
    for rows in batches:
        if not write(separator + ",\n".join(rows)):
            return
        separator = ",\n"
    write("[]\n" if separator == "[\n" else "\n]\n")


def _encoded(relation: Relation) -> Iterator[list[str]]:
    """Answer each row as a JSON object, in batches; DuckDB writes them, so all types are known."""
    import pyarrow.compute as pc

    from batchflow.store.query.relation import executing
    from batchflow.store.schema.layout import quote

    refuse_duplicate_names(relation, "JSON")
    members = ", ".join(f"{quote(name)} := {quote(name)}" for name in relation.columns)
    rows = relation.select(f"CAST(to_json(struct_pack({members})) AS VARCHAR) AS row")
    with executing():
        for batch in rows.to_arrow_reader(_ENCODED_ROWS):
            texts = batch.column(0)
            # JSON has no such numbers; DuckDB writes them all the same.
            if pc.any(pc.match_substring_regex(texts, "NaN|Infinity")).as_py():
                yield [json.dumps(_finite(json.loads(text))) for text in texts.to_pylist()]
            else:
                yield texts.to_pylist()


def _finite(value: object) -> object:
    match value:
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list():
            return [_finite(each) for each in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _table(relation: Relation) -> str:
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        return relation.text(_TERMINAL_ROWS, shutil.get_terminal_size().columns) + "\n"
    return relation.text(_PIPED_ROWS) + "\n"

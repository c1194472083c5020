"""Write the results of queries in the chosen format, batch by batch."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchflow.cli.output import write, write_relations
from batchflow.cli.streams import discard_output
from batchflow.export.atomic_write import atomic_path
from batchflow.export.column_casts import cast_for_csv, cast_for_parquet, enums_as_text
from batchflow.export.written_rows import csv_parts, write_parquet

if TYPE_CHECKING:
    from batchflow.cli.output_format import OutputFormat
    from batchflow.store import Relation


def write_results(relations: Sequence[Relation], form: OutputFormat) -> None:
    """Write the results of queries that have the same columns.

    Raises:
        QueryError: A query failed while it was executed, or has columns that the format can't have.
    """
    if form.as_csv:
        _write_csv([cast_for_csv(relation) for relation in relations])
    elif form.parquet is None:
        write_relations(relations, as_json=form.as_json)
    else:
        several = len(relations) > 1
        prepared = [
            cast_for_parquet(enums_as_text(each) if several else each) for each in relations
        ]
        if form.is_stdout:
            _write_parquet_to_stdout(prepared)
        else:
            with atomic_path(form.parquet) as path, path.open("wb") as file:
                write_parquet(file, prepared)


def _write_csv(relations: Sequence[Relation]) -> None:
    for _, text in csv_parts(relations):
        if not write(text):
            return


def _write_parquet_to_stdout(relations: Sequence[Relation]) -> None:
    try:
        write_parquet(_CountedStdout(), relations)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)


class _CountedStdout(io.RawIOBase):
    """Stdout with a position, which Arrow needs and a pipe doesn't have."""

    def __init__(self) -> None:
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = sys.stdout.buffer.write(data)
        self._written += written
        return written

    def tell(self) -> int:
        return self._written

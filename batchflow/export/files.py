"""Write the rows of one relation to files, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote as encoded

from batchflow.errors import QueryError
from batchflow.export.column_casts import (
    HIVE_NULL,
    cast_for_csv,
    cast_for_parquet,
    cast_for_spreadsheet,
    folder_columns_as_text,
    json_lines,
)
from batchflow.export.form import ExportForm
from batchflow.export.target import ExportTarget
from batchflow.export.written_rows import csv_text, marked, record_batches, without_type

if TYPE_CHECKING:
    import pyarrow as pa

    from batchflow.store.query.relation import Relation

SUCCESS: Final = "_SUCCESS"
"""The name of the file that is written last into a folder."""


class _Writer(Protocol):
    """Writes one file."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


def write_export(path: Path, relation: Relation, target: ExportTarget) -> int:
    """Write the rows of a relation to a file or a folder, which isn't there yet.

    Returns:
        The number of rows.

    Raises:
        QueryError: The query fails, or a column can't be written in this form.
        OSError: The operating system refuses to write.
    """
    if not target.is_folder:
        return _write_file(path, relation, target)
    path.mkdir()
    if target.partition_by:
        return _write_folders(path, relation, target)
    return _write_file(path / f"part-0{target.form.value}", relation, target)


def _write_file(path: Path, relation: Relation, target: ExportTarget) -> int:
    batches = record_batches([_cast(relation, target)])
    rows = 0
    with closing(_opened(path, next(batches), target.form)) as writer:
        for batch in batches:
            writer.write(batch)
            rows += batch.num_rows
    return rows


def _write_folders(path: Path, relation: Relation, target: ExportTarget) -> int:
    """Write one file per combination of values, one after the other, in folders like Hive's."""
    named = folder_columns_as_text(relation, target.partition_by)
    # Only one file is open at a time, because the rows are in the order of their folders.
    ordered = _cast(named, target).order(_list_of(target.partition_by))
    batches = record_batches([ordered])
    columns = _split_off(next(batches), target.partition_by)
    rows = 0
    folder: str | None = None
    writer: _Writer = _opened(path / f"part-0{target.form.value}", columns.schema, target.form)
    try:
        for batch in batches:
            for part in columns.runs_of(batch):
                if part.folder != folder:
                    writer.close()
                    folder = part.folder
                    (path / folder).mkdir(parents=True)
                    name = path / folder / f"part-0{target.form.value}"
                    writer = _opened(name, columns.schema, target.form)
                writer.write(part.rows)
            rows += batch.num_rows
    finally:
        writer.close()
    if rows:
        # It has no rows, and states the columns of an export without any.
        (path / f"part-0{target.form.value}").unlink()
    return rows


@dataclass(frozen=True)
class _Part:
    folder: str
    rows: pa.RecordBatch


@dataclass(frozen=True)
class _Columns:
    """The columns that name folders, and the others."""

    names: tuple[str, ...]
    schema: pa.Schema

    def runs_of(self, batch: pa.RecordBatch) -> Iterator[_Part]:
        """Yield consecutive rows of one folder."""
        import numpy as np

        texts = [batch.column(batch.schema.get_field_index(name)) for name in self.names]
        codes = np.array(
            [text.dictionary_encode(null_encoding="encode").indices.to_numpy() for text in texts]
        )
        starts = [0, *(np.flatnonzero((codes[:, 1:] != codes[:, :-1]).any(axis=0)) + 1)]
        rest = batch.select(self.schema.names)
        for start, end in zip(starts, [*starts[1:], batch.num_rows], strict=True):
            values = (text[int(start)].as_py() for text in texts)
            yield _Part(
                "/".join(_folder(*pair) for pair in zip(self.names, values, strict=True)),
                rest.slice(int(start), int(end - start)),
            )


def _split_off(schema: pa.Schema, names: tuple[str, ...]) -> _Columns:
    for name in names:
        schema = schema.remove(schema.get_field_index(name))
    return _Columns(names, schema)


def _folder(name: str, value: str | None) -> str:
    return f"{encoded(name, safe='')}={HIVE_NULL if value is None else encoded(value, safe='')}"


def _list_of(names: tuple[str, ...]) -> str:
    from batchflow.store.schema.layout import quote

    return ", ".join(map(quote, names))


def _cast(relation: Relation, target: ExportTarget) -> Relation:
    match target.form:
        case ExportForm.PARQUET:
            return cast_for_parquet(relation)
        case ExportForm.CSV:
            return (cast_for_spreadsheet if target.spreadsheet else cast_for_csv)(relation)
        case ExportForm.JSON:
            return json_lines(relation, beside=target.partition_by)


def _opened(path: Path, schema: pa.Schema, form: ExportForm) -> _Writer:
    match form:
        case ExportForm.PARQUET:
            return _ParquetFile(path, schema)
        case ExportForm.CSV:
            return _CsvFile(path, schema)
        case ExportForm.JSON:
            return _JsonFile(path)


class _ParquetFile:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._writer: Any = pq.ParquetWriter(path, marked(schema))
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise without_type(error) from None

    def write(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        try:
            self._writer.write_batch(batch)
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise without_type(error) from None

    def close(self) -> None:
        self._writer.close()


class _CsvFile:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if not schema.names:
            raise QueryError("CSV needs a column besides those that name folders.")
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self._file.write(csv_text(schema.empty_table(), header=True))

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(csv_text(batch))

    def close(self) -> None:
        self._file.close()


class _JsonFile:
    """One record in each line."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")

    def write(self, batch: pa.RecordBatch) -> None:
        lines = batch.column(batch.num_columns - 1).to_pylist()
        self._file.writelines(f"{line}\n" for line in lines)

    def close(self) -> None:
        self._file.close()

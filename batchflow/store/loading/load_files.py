"""Load files: small ones of one shape together, all others one by one.

A load of many small files would otherwise spend its time on opening and planning each. Files that
are read together have the same columns and types, so no value depends on the others. The rows of a
file with one that can't simply start a run are staged, file by file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.errors import SourceError
from batchflow.operation.load_report import FileReport, FilledColumns, LoadReport
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import lent
from batchflow.store.loading import load_checks
from batchflow.store.loading.conflicts import any_reason, drop_stages
from batchflow.store.loading.file_shape import FILE, FileShape
from batchflow.store.loading.fitted_table import FOUND, KEY, MISFIT, RECORD
from batchflow.store.loading.ledger import Ledger, SourceFile
from batchflow.store.loading.load_checks import Load
from batchflow.store.loading.load_rows import (
    LoadCall,
    insert_checked,
    load_directly,
    load_staged,
    nothing_loaded,
    opened,
    planned,
)
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_files import file_shapes, folder_texts
from batchflow.store.loading.source_instance import POSITION
from batchflow.store.loading.sources import LoadSource, open_files
from batchflow.store.schema.layout import quote

_SMALL_BYTES: Final = 256 * 1024
_MOST_FILES: Final = 256
_MOST_BYTES: Final = 8 * 1024 * 1024
# Of rows that are read together. Compressed files can be much larger than they seem.
_MOST_READ_BYTES: Final = 64 * 1024 * 1024
_ROWS: Final = "batchflow_rows"


@dataclass(frozen=True)
class _FileGroup:
    """Files that are loaded together, or one file.

    Attributes:
        files: The files.
        shape: How they are read; None where each is loaded alone.
    """

    files: tuple[SourceFile, ...]
    shape: FileShape | None = None

    @property
    def paths(self) -> list[str]:
        """Return the files' paths."""
        return [file.name for file in self.files]


@dataclass(frozen=True)
class _GroupRows:
    """The rows of a group.

    Attributes:
        files: The files.
        source: How the rows are fitted to the fields.
        rows: The rows, with FILE.
        numbers: The number of each row's file in the group, which ascends.
        own: Which rows start their run in this store; None if all do.
    """

    files: tuple[SourceFile, ...]
    source: LoadSource
    rows: pa.Table
    numbers: npt.NDArray[np.int64]
    own: pa.BooleanArray | None = None

    def part(self, first: int, last: int, *, own: bool = False) -> pa.Table:
        """Return the rows of some of the files, or this store's own of them, numbered from 0."""
        start, end = np.searchsorted(self.numbers, [first, last + 1])
        rows = self.rows.slice(start, end - start)
        if own and self.own is not None:
            rows = rows.filter(self.own.slice(start, end - start))
        places = pa.array(np.arange(rows.num_rows))
        return rows.set_column(rows.column_names.index(POSITION), POSITION, places)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of this store's own rows of each file."""
        mine = self.numbers if self.own is None else self.numbers[self.own.to_numpy(False)]
        return np.bincount(mine, minlength=len(self.files))


def load_files(call: LoadCall, files: Sequence[SourceFile], *, directly: bool) -> LoadReport:
    """Load the files that aren't in the ledger, in one transaction and in their order."""
    with call.connection.write() as cursor:
        ledger = Ledger(cursor, call.layout.name, call.now, files)
        new, skipped = (files, ()) if call.request.again else ledger.new_files(files)
        report = nothing_loaded(cursor, call)
        for group in _groups(call, new):
            rows = _read_group(call, group)
            if rows is None:
                for file in group.files:
                    report += _load_file(cursor, call, ledger, file, directly=directly)
            else:
                report += _load_group(cursor, call, ledger, rows)
        ledger.write()
    return replace(report, skipped_files=skipped)


def _groups(call: LoadCall, files: Sequence[SourceFile]) -> Iterator[_FileGroup]:
    for few in _neighbours(files):
        yield from _groups_of_one_shape(call, few) if len(few) > 1 else (_FileGroup(tuple(few)),)


def _neighbours(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    """Yield the files in their order: several small ones at once, and the others alone."""
    few: list[SourceFile] = []
    for file in files:
        small = file.digest is not None and file.size <= _SMALL_BYTES
        full = len(few) == _MOST_FILES or sum(each.size for each in few) > _MOST_BYTES
        if few and (full or not small):
            yield few
            few = []
        if small:
            few.append(file)
        else:
            yield [file]
    if few:
        yield few


def _groups_of_one_shape(call: LoadCall, few: Sequence[SourceFile]) -> Iterator[_FileGroup]:
    assert call.reader is not None
    wanted = call.wanted
    try:
        with translated("The source"), call.reader() as instance:
            shapes = file_shapes(instance, [file.name for file in few], wanted)
    except SourceError:
        # Alone, the file that can't be read is named.
        yield _FileGroup(tuple(few))
        return
    pairs = zip(few, shapes, strict=True)
    for (shape, _), members in groupby(
        pairs, lambda pair: (pair[1], sorted(folder_texts(pair[0].name, wanted)))
    ):
        yield _FileGroup(tuple(file for file, _ in members), shape)


def _read_group(call: LoadCall, group: _FileGroup) -> _GroupRows | None:
    """Return the rows of a group; None if its files have to be loaded one by one."""
    if group.shape is None or len(group.files) == 1 or call.reader is None:
        return None
    cursor = call.connection.cursor()
    paths = group.paths
    try:
        with open_files(
            cursor, "The source", group.shape, paths, call.wanted, call.reader
        ) as source:
            rows = _few(source)
    except SourceError:
        return None
    if rows is None:
        return None
    numbers = pc.index_in(rows[FILE], value_set=pa.array(paths)).to_numpy()
    if np.any(np.diff(numbers, prepend=0) < 0):
        # DuckDB reads files in their order; otherwise rows would be numbered wrongly.
        return None
    return _GroupRows(group.files, source, rows, numbers, _own(call, source, rows))


def _own(call: LoadCall, source: LoadSource, rows: pa.Table) -> pa.BooleanArray | None:
    """Return which rows are this shard's; None for an ordinary store."""
    shard = call.layout.shard
    if shard is None:
        return None
    cursor = call.connection.cursor()
    with planned(call, source) as load, lent(cursor, _ROWS, rows):
        found = cursor.sql(f"SELECT {shard.has(load.columns[0].value)} AS own FROM {_ROWS}")
        return fetch(found)["own"].combine_chunks()


def _few(source: LoadSource) -> pa.Table | None:
    assert source.outside is not None
    assert source.fitted is not None
    fitted = source.fitted
    values = (*fitted.match.columns.values(), *fitted.absent.values())
    columns = [KEY, *values, *fitted.marks_of_lacked, MISFIT, FOUND, RECORD, FILE]
    return source.outside.few(columns, _MOST_READ_BYTES)


def _load_group(cursor: Cursor, call: LoadCall, ledger: Ledger, group: _GroupRows) -> LoadReport:
    """Store the rows of the files, and stage those of a file with a troubled row."""
    troubled = _troubled(cursor, call, group)
    report = nothing_loaded(cursor, call)
    for alone, members in groupby(range(len(group.files)), troubled.__contains__):
        numbers = list(members)
        if not alone:
            report += _insert_files(cursor, call, ledger, group, numbers)
            continue
        for number in numbers:
            report += _stage_file(cursor, call, ledger, group, number)
    return report


def _stage_file(
    cursor: Cursor, call: LoadCall, ledger: Ledger, group: _GroupRows, number: int
) -> LoadReport:
    """Load one file of a group as if it had been read alone."""
    file, load_id = group.files[number], ledger.next_id()
    label = f"The source {file.name!r}"
    source = replace(group.source, label=label, table=_ROWS, outside=None)
    with planned(call, source) as load, lent(cursor, _ROWS, group.part(number, number)):
        report = load_staged(cursor, replace(load, file=file, load_id=load_id))
    return _entered(ledger, load_id, file, report)


def _troubled(cursor: Cursor, call: LoadCall, group: _GroupRows) -> set[int]:
    """Return the numbers of the files with a row that doesn't fit, or may conflict."""
    keys = group.rows[KEY]
    counts = pc.value_counts(keys)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    unclean = pc.or_(pc.is_valid(group.rows[MISFIT]), pc.is_in(keys, value_set=repeated))
    found = set(group.numbers[unclean.to_numpy()].tolist())
    with planned(call, group.source) as load:
        condition = any_reason(cursor, load, load.columns[0].value)
    if condition is not None:
        with lent(cursor, _ROWS, group.rows):
            query = f"SELECT DISTINCT {quote(FILE)} FROM {_ROWS} WHERE {condition}"
            paths = {path for (path,) in cursor.execute(query).fetchall()}
        found |= {number for number, file in enumerate(group.files) if file.name in paths}
    return found


def _insert_files(
    cursor: Cursor, call: LoadCall, ledger: Ledger, group: _GroupRows, numbers: Sequence[int]
) -> LoadReport:
    """Store the rows of neighbouring files, and enter the files in the ledger."""
    rows = group.part(numbers[0], numbers[-1], own=True)
    with planned(call, group.source) as load, lent(cursor, _ROWS, rows):
        values = {column.into: column.value for column in load.columns}
        report = insert_checked(cursor, load, values, quote(POSITION), _ROWS)
        drop_stages(cursor)
    counts = group.counts
    entries: list[FileReport] = []
    filled: list[FilledColumns] = []
    first_seq = report.first_seq
    for number in numbers:
        file = group.files[number]
        file.require_unchanged()
        loaded = int(counts[number])
        own = replace(report, loaded=loaded, first_seq=first_seq, last_seq=first_seq + loaded - 1)
        first_seq += loaded
        entries.append(ledger.enter(ledger.next_id(), file, own))
        if call.layout.shard is not None:
            load = replace(load, unfilled=_unfilled(load, group.part(number, number, own=True)))
        filled.extend(replace(load, file=file).filled)
    return replace(report, files=tuple(entries), filled=tuple(filled))


def _unfilled(load: Load, rows: pa.Table) -> frozenset[str]:
    """Return the fields and members that rows of a file lack, but none of this shard's rows."""
    return frozenset(
        name
        for name, mark in load.lacked.items()
        if not (rows.num_rows if mark is None else pc.any(rows[mark]).as_py())
    )


def _load_file(
    cursor: Cursor, call: LoadCall, ledger: Ledger, file: SourceFile, *, directly: bool
) -> LoadReport:
    load_id = ledger.next_id()
    with opened(call, file.name) as source:
        load: Load = replace(source, file=file, load_id=load_id)
        outside = load.source.outside
        if directly and outside is not None and load_checks.is_repeatable(load):
            report = load_directly(cursor, load, outside)
        else:
            report = load_staged(cursor, load)
    return _entered(ledger, load_id, file, report)


def _entered(ledger: Ledger, load_id: int, file: SourceFile, report: LoadReport) -> LoadReport:
    file.require_unchanged()
    return replace(report, files=(ledger.enter(load_id, file, report),))

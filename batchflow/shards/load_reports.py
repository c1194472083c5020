"""The reports of the loads of all shards from one source, as that of one load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Final

from batchflow.operation import InvalidColumn, LoadReport
from batchflow.operation.load_report import FileReport, FilledColumns, SkippedFile

_SHOWN: Final = 5
_NO_RANGE: Final = (0, -1)


def loads_of_all(reports: Sequence[LoadReport]) -> LoadReport:
    """Return one report; only if one shard has all new runs, their numbers are a range.

    A file that some shards had loaded before counts as loaded.
    """
    started = [report for report in reports if report.loaded]
    one = started[0] if len(started) == 1 else None
    first_seq, last_seq = _NO_RANGE if one is None else (one.first_seq, one.last_seq)
    files = _files(reports)
    return replace(
        reduce(add, reports),
        first_seq=first_seq,
        last_seq=last_seq,
        invalid=_invalid(reports),
        files=tuple(files.values()),
        skipped_files=_skipped(reports, files),
        filled=_filled(reports),
    )


def _files(reports: Sequence[LoadReport]) -> dict[str, FileReport]:
    files: dict[str, FileReport] = {}
    for report in reports:
        for each in report.files:
            files[each.path] = _together(files[each.path], each) if each.path in files else each
    return files


def _together(first: FileReport, second: FileReport) -> FileReport:
    return replace(
        first,
        rows=first.rows + second.rows,
        inserted=first.inserted + second.inserted,
        updated=first.updated + second.updated,
        skipped=first.skipped + second.skipped,
        rejected=first.rejected + second.rejected,
        changed_since=first.changed_since or second.changed_since,
    )


def _skipped(
    reports: Sequence[LoadReport], loaded: dict[str, FileReport]
) -> tuple[SkippedFile, ...]:
    skipped = {each.path: each for report in reports for each in report.skipped_files}
    return tuple(each for path, each in skipped.items() if path not in loaded)


def _filled(reports: Sequence[LoadReport]) -> tuple[FilledColumns, ...]:
    columns: dict[str, dict[str, None]] = {}
    for report in reports:
        for each in report.filled:
            columns.setdefault(each.path, {}).update(dict.fromkeys(each.columns))
    return tuple(FilledColumns(path, tuple(names)) for path, names in columns.items())


def _invalid(reports: Sequence[LoadReport]) -> tuple[InvalidColumn, ...]:
    found: dict[tuple[str | None, str], InvalidColumn] = {}
    for report in reports:
        for each in report.invalid:
            known = found.get((each.file, each.column))
            found[each.file, each.column] = (
                each
                if known is None
                else replace(
                    known,
                    count=known.count + each.count,
                    sample=(*known.sample, *each.sample)[:_SHOWN],
                )
            )
    return tuple(found.values())

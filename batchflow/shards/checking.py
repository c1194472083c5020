"""The checks of all shards as one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchflow.store.query.check_report import CheckReport, TableSize


def check_of_all(reports: Sequence[CheckReport]) -> CheckReport:
    """Return one report; its problems name the shard, and sizes are added up."""
    tables: dict[str, TableSize] = {}
    for report in reports:
        for each in report.tables:
            known = tables.get(each.table, TableSize(each.table, 0, 0))
            tables[each.table] = replace(
                known, rows=known.rows + each.rows, bytes=known.bytes + each.bytes
            )
    return CheckReport(
        problems=tuple(
            replace(problem, what=f"{problem.what} in shard {number}")
            for number, report in enumerate(reports, 1)
            for problem in report.problems
        ),
        unverified=tuple(
            f"In shard {number}: {each}"
            for number, report in enumerate(reports, 1)
            for each in report.unverified
        ),
        tables=tuple(tables.values()),
        file_bytes=sum(report.file_bytes for report in reports),
        free_bytes=sum(report.free_bytes for report in reports),
    )

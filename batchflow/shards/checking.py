"""The checks of all shards as one report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from batchflow.store.query.check_report import CheckReport, Problem, TableSize


def check_of_all(found: Sequence[tuple[CheckReport, Sequence[str]]]) -> CheckReport:
    """Return one report of the reports and workflows of all shards.

    Its problems name the shard, and sizes are added up.
    """
    reports = [report for report, _ in found]
    tables: dict[str, TableSize] = {}
    for report in reports:
        for each in report.tables:
            known = tables.get(each.table, TableSize(each.table, 0, 0))
            tables[each.table] = replace(
                known, rows=known.rows + each.rows, bytes=known.bytes + each.bytes
            )
    return CheckReport(
        problems=(
            *_missing([workflows for _, workflows in found]),
            *(
                replace(problem, what=f"{problem.what} in shard {number}")
                for number, report in enumerate(reports, 1)
                for problem in report.problems
            ),
        ),
        unverified=tuple(
            f"In shard {number}: {each}"
            for number, report in enumerate(reports, 1)
            for each in report.unverified
        ),
        tables=tuple(tables.values()),
        file_bytes=sum(report.file_bytes for report in reports),
        free_bytes=sum(report.free_bytes for report in reports),
        files=len(reports),
    )


def _missing(workflows: Sequence[Sequence[str]]) -> Iterator[Problem]:
    """Yield each workflow that only some shards have, as those that add it were interrupted."""
    for name in sorted(set().union(*workflows)):
        lacking = [str(number) for number, known in enumerate(workflows, 1) if name not in known]
        if lacking:
            shards = ", ".join(lacking)
            yield Problem(name, f"no tables in shard {shards}; create them with Stores(path, …)", 0)

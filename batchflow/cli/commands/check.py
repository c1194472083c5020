"""``batchflow check`` and ``repair``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, one_store_option, store_option
from batchflow.cli.output import write, write_document


@click.command(
    epilog="""\b
Example:
  batchflow check --store orders.duckdb
""",
)
@store_option
@json_option
def check(store: Path, *, as_json: bool) -> int:
    """Check whether the store is sane.

    Reads all tables. The log has to replay to the table of runs: no version is missing or there
    twice, each transition begins where the one before led, every transition was declared or made by
    an operation, and no run is there twice. Nothing is changed.

    Prints what is wrong, what can't be verified, and the size of each table. Exits with 3 if
    something is wrong.
    """
    with opened_store(store) as reader:
        report = reader.check()
    if as_json:
        write_document(report.as_dict())
    else:
        write(f"{report}\n")
    return ExitCode.DONE if report.ok else ExitCode.FAILED


@click.command(
    epilog="""\b
Example:
  batchflow repair --store orders.duckdb
""",
)
@one_store_option
@json_option
def repair(store: Path, *, as_json: bool) -> None:
    """Repair a store that can't be opened because a power cut has torn its log.

    The log (the file that ends with .wal) is cut off where DuckDB reports that it is damaged. The
    commits before are kept, and those after it are lost. The whole log is kept beside it. If the
    log isn't damaged, nothing is changed. Exits with 3 if the store can't be opened for another
    reason, and with 75 if a process has it open.

    Prints how much of the log was lost, the time of the last change that is left, and where the
    whole log is.
    """
    from batchflow.store import repair as repair_store

    report = repair_store(store)
    if as_json:
        write_document(report.as_dict())
    else:
        write(f"{report}\n")

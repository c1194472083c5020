"""``batchflow demo``."""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path

import click

from batchflow.cli.drain import run_until_idle
from batchflow.cli.logs import configure_logging
from batchflow.cli.options import json_option, quiet_option, verbose_option, workers_option
from batchflow.cli.output import note, prints_to_stderr, write, write_document
from batchflow.short_form import counted

_UNFINISHED = {"INITIATED", "RUNNING"}


@click.command(
    epilog="""\b
Example:
  batchflow demo --runs 100000 --dir /tmp/demo
""",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Generate this many orders.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("batchflow-demo"),
    show_default=True,
    help="The folder for the orders and the store.",
)
@workers_option
@json_option
@quiet_option
@verbose_option
def demo(
    runs: int, folder: Path, workers: int | None, *, as_json: bool, quiet: bool, verbose: bool
) -> None:
    """Run a million generated orders through a workflow.

    The store stays, so that you can try the other commands on it. A few orders have an unknown
    coupon: a step fails for them, and they end up paused. If an earlier demo was interrupted, this
    continues it; otherwise it creates a new store in the folder.

    Prints the report of the run, and the commands to try next. Exits with 0, also if runs are
    paused, and with 75 if another process has the store open.
    """
    from batchflow.demo.orders import orders
    from batchflow.engine import Engine

    configure_logging(quiet=quiet, verbose=verbose)
    folder.mkdir(parents=True, exist_ok=True)
    store = _store(folder, runs)
    with Engine(store, orders, workers=workers) as engine:
        if not engine.counts().fetchall():
            source = _source(folder, runs)
            with prints_to_stderr():
                loaded = engine.trigger_many(str(source), foreign_id="order_id")
            note(str(loaded))
        else:
            note(f"Continuing {store}, where an earlier demo was interrupted.")
        report = run_until_idle(engine, quiet=quiet, wait_for_retries=True)
    if as_json:
        write_document({"store": str(store), "report": report.as_dict()})
    else:
        write(f"{report}\n")
    if not quiet:
        note(_suggestions(store))


def _store(folder: Path, runs: int) -> Path:
    """Return the first store that is unfinished or doesn't exist yet."""
    names = (
        f"orders-{runs}.duckdb" if number == 1 else f"orders-{runs}-{number}.duckdb"
        for number in itertools.count(1)
    )
    return next(path for name in names if _is_unfinished(path := folder / name))


def _is_unfinished(store: Path) -> bool:
    """Return whether anything is left to do in this store."""
    if not store.exists():
        return True
    from batchflow.access import connect

    with connect(store) as reader:
        counts = reader.counts(workflow="orders").fetchall() if reader.workflows else []
    return not counts or any(run_state in _UNFINISHED for _, run_state, _ in counts)


def _source(folder: Path, runs: int) -> Path:
    source = folder / f"orders-{runs}.parquet"
    if not source.exists():
        from batchflow.demo.generate import write_orders

        note(f"Generating {counted(runs, 'order')}: {source}")
        write_orders(source, runs)
    return source


def _suggestions(store: Path) -> str:
    batchflow = f"{_own_command()} {{}} --store {shlex.quote(str(store))}"
    return "\n".join(
        [
            "",
            f"The store is one DuckDB file, {store}. Query it:",
            f"  {batchflow.format('errors')}",
            f"  {batchflow.format('sql')} \\",
            '    "SELECT status, count(*), avg(total) FROM orders.runs GROUP BY ALL"',
            f"  {batchflow.format('sql')} \\",
            "    \"SELECT foreign_id, coupon, reason FROM orders.runs WHERE run_state = 'PAUSED'\"",
        ]
    )


def _own_command() -> str:
    """Return how this command was called, so that you can paste the suggestions."""
    if Path(sys.argv[0]).name == "__main__.py":
        return "python -m batchflow"
    return shlex.quote(sys.argv[0])

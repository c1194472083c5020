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

_UNFINISHED = {"INITIATED", "RUNNING"}


@click.command(
    short_help="Move a million made-up orders through a workflow.",
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
    help="How many orders.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("batchflow-demo"),
    show_default=True,
    help="Where the orders and the store are put.",
)
@workers_option
@json_option
@quiet_option
@verbose_option
def demo(
    runs: int, folder: Path, workers: int | None, *, as_json: bool, quiet: bool, verbose: bool
) -> None:
    """Move a million made-up orders through a workflow, and leave the store to look into.

    A few orders have a coupon that nobody knows: their step fails, and they end up paused. When it
    was stopped in the middle, it goes on where it was; when it had finished, it begins a new store.
    The exit code is 0 whenever it gets to the end.
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
            note(f"Going on with {store}, which was left in the middle.")
        report = run_until_idle(engine, quiet=quiet, wait_for_retries=True)
    if as_json:
        write_document({"store": str(store), "report": report.as_dict()})
    else:
        write(f"{report}\n")
    if not quiet:
        note(_suggestions(store))


def _store(folder: Path, runs: int) -> Path:
    """Answer the store that isn't at its end, or the first that doesn't exist yet."""
    names = (
        f"orders-{runs}.duckdb" if number == 1 else f"orders-{runs}-{number}.duckdb"
        for number in itertools.count(1)
    )
    return next(path for name in names if _is_open(path := folder / name))


def _is_open(store: Path) -> bool:
    """Tell whether there is anything left to do in this store."""
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

        note(f"Making up {runs:,} orders: {source}")
        write_orders(source, runs)
    return source


def _suggestions(store: Path) -> str:
    batchflow = f"{_own_command()} {{}} --store {shlex.quote(str(store))}"
    return "\n".join(
        [
            "",
            f"The runs are in one DuckDB file, {store}. Look into it:",
            f"  {batchflow.format('errors')}",
            f"  {batchflow.format('sql')} \\",
            '    "SELECT status, count(*), avg(total) FROM orders.runs GROUP BY ALL"',
            f"  {batchflow.format('sql')} \\",
            "    \"SELECT foreign_id, coupon, reason FROM orders.runs WHERE run_state = 'PAUSED'\"",
        ]
    )


def _own_command() -> str:
    """Answer how this command was called, so that what is suggested can be pasted."""
    if Path(sys.argv[0]).name == "__main__.py":
        return "python -m batchflow"
    return shlex.quote(sys.argv[0])

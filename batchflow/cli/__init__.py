"""The command line: ``batchflow``, or ``python -m batchflow``."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one command, by default with the process's arguments; return its exit code."""
    # Imported here, so that programs that use only the library don't import click.
    from batchflow.cli.invocation import invoke

    return invoke(arguments)

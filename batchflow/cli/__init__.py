"""The command line: ``batchflow``, or ``python -m batchflow``."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one command, by default the process's own arguments; answer its exit code."""
    # click is imported where it is needed: who uses the library alone doesn't pay for it.
    from batchflow.cli.invocation import invoke

    return invoke(arguments)

"""Functions in place of steps, such as ``charge=pipeline.py:pretend_to_charge``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from batchflow.cli.target import load_function


def stand_ins_of(given: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Import the functions that are called in place of steps, by the names of the steps.

    Raises:
        click.UsageError: One isn't given as ``STEP=FILE:FUNCTION``, a step is given twice, or there
            is no such function.
    """
    found: dict[str, Callable[..., Any]] = {}
    for text in given:
        step, _, function = text.partition("=")
        module, _, name = function.rpartition(":")
        if not (step and module and name):
            raise click.UsageError(
                f"--stand-in is {text!r}. Give a step and the function that is called in its "
                "place, like charge=pipeline.py:pretend_to_charge."
            )
        if step in found:
            raise click.UsageError(f"--stand-in names the step {step!r} twice. Give it once.")
        found[step] = load_function(module, name)
    return found

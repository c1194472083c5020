"""Make one measurement in a process of its own: `child.py MODULE FUNCTION ARGUMENTS-AS-JSON`.

The sample is written to standard output as JSON, with the peak of this process's resident memory.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys

import pyarrow as pa

from memory import peak_mb_of
from sample import Sample


def main(module: str, function: str, arguments: str) -> None:
    """Call the function and write its sample."""
    work = getattr(importlib.import_module(module), function)
    # PyArrow's first conversion imports pandas if it is installed. The clock doesn't run yet.
    pa.array([0])
    measured: Sample = work(**json.loads(arguments))
    sample = dataclasses.replace(measured, peak_mb=peak_mb_of("self"))
    json.dump(dataclasses.asdict(sample), sys.stdout)


if __name__ == "__main__":  # Its own children import this file again.
    main(*sys.argv[1:])

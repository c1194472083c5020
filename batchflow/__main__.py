"""``python -m batchflow`` is the command line."""

from __future__ import annotations

import sys

from batchflow.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Query a store's engine from another process: `querying.py STORE QUERIES`.

It prints "ready" when it is connected, starts at a line on standard input, and prints the number of
queries at its end.
"""

from __future__ import annotations

import sys
import time

import batchflow as bf

# With this pause, a hundred queries take as long as a short drain.
PAUSE_SECONDS = 0.015


def main(store: str, queries: int) -> None:
    """Count the runs by status and run state, repeatedly."""
    with bf.connect(store) as client:
        client.counts().fetchall()
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(queries):
            client.counts().fetchall()
            time.sleep(PAUSE_SECONDS)
    print(queries)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

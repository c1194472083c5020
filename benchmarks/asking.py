"""Ask a store's engine from another process, so often: `asking.py STORE QUERIES`.

Says "ready" when it is connected, begins at a line on standard input, says how many were answered.
"""

from __future__ import annotations

import sys
import time

import batchflow as bf

# A hundred of them take the time of a short drain.
PAUSE_SECONDS = 0.015


def main(store: str, queries: int) -> None:
    """Count the runs by status and run state, again and again."""
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

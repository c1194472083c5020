"""The process that has a Ray cluster of several nodes on this machine.

It obeys the lines of its standard input: ``add`` and ``remove``. It ends the cluster at its end.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 * 1024 * 1024}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes: list[Any] = []
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "add":
                nodes.append(cluster.add_node(wait=False, **NODE))
            case "remove":
                # Its processes are killed, as if the machine were switched off.
                cluster.remove_node(nodes.pop(0), allow_graceful=False)
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()

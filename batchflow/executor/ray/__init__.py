"""Execute steps on the nodes of a Ray cluster.

The coordinator never imports Ray: its driver takes over SIGTERM, starts threads, and unpickles what
tasks return. A child process is the driver. It passes bytes on between the coordinator and one
actor for each node, which holds a process pool.
"""

from __future__ import annotations

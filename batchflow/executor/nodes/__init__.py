"""Nodes: machines that execute chunks in process pools of their own, for one coordinator.

Nothing here knows how bytes get to a node and back; `batchflow.executor.ray` has Ray do that. A
`Node` is the side with the pool. `RemoteNode` is what the coordinator knows of one: it accepts
nothing that comes from a node without checking it.
"""

from __future__ import annotations

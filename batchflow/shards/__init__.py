"""Several stores that share the runs of a workflow by their foreign ids."""

from __future__ import annotations

from batchflow.store.schema.shard import shard_of

__all__ = ["shard_of"]

"""Several stores that share the runs of a workflow by their foreign ids."""

from __future__ import annotations

from batchflow.shards.stores import Stores
from batchflow.store.schema.shard import shard_of

__all__ = ["Stores", "shard_of"]

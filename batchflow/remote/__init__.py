"""A store as it is seen from outside its engine: opened to read, or through the engine's socket."""

from __future__ import annotations

from batchflow.remote.client import StoreClient
from batchflow.remote.listen import Listen
from batchflow.remote.opening import connect

__all__ = ["Listen", "StoreClient", "connect"]

"""A store as it is seen from outside its engine: opened to read, or through the engine's socket."""

from __future__ import annotations

from batchflow.access.client import StoreClient
from batchflow.access.connecting import connect
from batchflow.access.listening import Listen

__all__ = ["Listen", "StoreClient", "connect"]

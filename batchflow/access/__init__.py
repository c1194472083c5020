"""Reaching a store from outside its engine: through the engine's socket, or by opening the file."""

from __future__ import annotations

from batchflow.access.client import StoreClient
from batchflow.access.connecting import connect, open_once
from batchflow.access.listening import Listen

__all__ = ["Listen", "StoreClient", "connect", "open_once"]

"""Letting other processes ask an engine while it has the store open."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

from batchflow.store.database.instance import MEMORY

if TYPE_CHECKING:
    from batchflow.access.server import Served
    from batchflow.engine.config import EngineConfig
    from batchflow.store import Store

log = logging.getLogger("batchflow")


class Serving:
    """Serves an engine's store until it is closed, or the engine or the interpreter ends.

    Where the socket beside it can't be, that is a warning: the engine works all the same.

    Attributes:
        ports: where it listens for others, beside the store's own socket.
    """

    def __init__(self, engine: Served, store: Store, config: EngineConfig) -> None:
        self._close: weakref.finalize[..., Served] | None = None
        self.ports: tuple[int, ...] = ()
        if store.path == MEMORY or not config.serve:
            return
        # Imported where it is needed: Flight isn't free, and nobody asks a store in memory.
        from batchflow.access.server import Server

        try:
            server = Server(
                store.path, store.source, engine, config.query_timeout_seconds, config.listen
            )
        except OSError as error:
            log.warning(
                "nobody can ask this engine from another process: %s",
                error,
                extra={"action": "serve", "path": store.path},
            )
            return
        self.ports = tuple(server.ports)
        # Also at the interpreter's end, whose threads must not outlive it.
        self._close = weakref.finalize(engine, server.close)

    def close(self) -> None:
        """Serve no more; a second call does nothing."""
        if self._close is not None:
            self._close()

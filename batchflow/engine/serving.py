"""Serving an engine's store to other processes while it is open."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

from batchflow.store.database.instance import MEMORY

if TYPE_CHECKING:
    from batchflow.access.served_requests import ServedEngine
    from batchflow.engine.config import EngineConfig
    from batchflow.store import Store

log = logging.getLogger("batchflow")


class Serving:
    """Serves an engine's store until it is closed, or the engine or the interpreter ends.

    Where there can't be a socket beside the file, a warning is logged and the engine still works.

    Attributes:
        ports: The ports on the network.
    """

    def __init__(self, engine: ServedEngine, store: Store, config: EngineConfig) -> None:
        self._close: weakref.finalize[..., ServedEngine] | None = None
        self.ports: tuple[int, ...] = ()
        if store.path == MEMORY or not config.serve:
            return
        # Imported where it is needed, as a store in memory needs no Flight.
        from batchflow.access.server import Server

        try:
            server = Server(
                store.path,
                store,
                engine,
                config.query_timeout_seconds,
                config.listen,
                config.grace_seconds,
                config.allowed_urls,
            )
        except OSError as error:
            log.warning(
                "Other processes can't reach this engine: %s",
                error,
                extra={"action": "serve", "path": store.path},
            )
            return
        self.ports = tuple(server.ports)
        # Also when the interpreter ends, as the server's threads must not outlive it.
        self._close = weakref.finalize(engine, server.close)

    def close(self) -> None:
        """Stop serving; a second call does nothing."""
        if self._close is not None:
            self._close()

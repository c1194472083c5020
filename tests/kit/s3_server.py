"""A real S3 server on loopback, moto's, in a process of its own; and a proxy that disturbs it."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

SECRET: Final = "canary-secret-0c1d2e3f"
"""The secret key of each client; nothing may show it."""

BUCKET: Final = "bucket"
_SERVER: Final = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_BLOCK: Final = 65_536


@dataclass(frozen=True)
class S3Server:
    """The server, with one bucket."""

    port: int

    def options(self, port: int | None = None) -> dict[str, Any]:
        """Return storage options for it, or for a proxy before it."""
        return {
            "key": "somebody",
            "secret": SECRET,
            "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port or self.port}"},
            "config_kwargs": {"retries": {"max_attempts": 1, "mode": "standard"}},
        }

    def filesystem(self) -> Any:
        """Return fsspec's file system of it, without earlier listings."""
        from s3fs import S3FileSystem

        found = S3FileSystem(**self.options())
        found.invalidate_cache()
        return found

    def put(self, key: str, content: bytes) -> str:
        """Store an object, and return its URL."""
        self.filesystem().pipe_file(f"{BUCKET}/{key}", content)
        return f"s3://{BUCKET}/{key}"

    def demand_credentials(self) -> None:
        """Refuse every key that the server doesn't know, from now on."""
        url = f"http://127.0.0.1:{self.port}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, b"0", plain)).close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server with an empty bucket, until the end of the block."""
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            server = S3Server(int(process.stdout.readline()))
            server.filesystem().mkdir(BUCKET)
            yield server
        finally:
            process.stdin.close()


class Proxy:
    """Passes each connection on, and disturbs those that ask for one object.

    Args:
        to: The port of the server.
        target: A pattern of the request line, like ``GET /bucket/a``.
        before: Called before the first such request is passed on.
        cut_after: After how many bytes of each such answer the connection is cut; None never.
    """

    def __init__(
        self,
        to: int,
        target: str,
        before: Callable[[], None] = lambda: None,
        cut_after: int | None = None,
    ) -> None:
        self._to = to
        self._target = re.compile(target.encode())
        self._before: list[Callable[[], None]] = [before]
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._to)) as server:
            left: int | None = None
            while True:
                for each in select.select([client, server], [], [])[0]:
                    block = each.recv(_BLOCK)
                    if not block:
                        return
                    if each is client:
                        if self._target.match(block):
                            left = self._cut_after
                            for before in (self._before.pop() for _ in self._before[:]):
                                before()
                        server.sendall(block)
                        continue
                    client.sendall(block[:left])
                    if left is not None:
                        left -= len(block)
                        if left <= 0:
                            return


@contextmanager
def proxy(to: int, target: str, **disturbance: Any) -> Iterator[Proxy]:
    """Start a proxy, until the end of the block."""
    started = Proxy(to, target, **disturbance)
    try:
        yield started
    finally:
        started.close()

"""Listening on a network."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from batchflow.errors import InvalidOptionError
from batchflow.operation.options import path_text, require_count, require_name, require_text

_LEAST_TOKEN_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True)
class Listen:
    """An address to listen at, besides the store's own socket, with TLS and a token.

    Attributes:
        certificate: The file with the server's certificate and the chain to its root (PEM).
        key: The file with its private key (PEM).
        token: The token that a client must send, of at least 16 characters. A client with the
            token may do everything that the engine's own user may.
        host: The address.
        port: The port; 0 chooses a free one.
    """

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]
    token: str = field(repr=False)
    host: str = "localhost"
    port: int = 0

    def __post_init__(self) -> None:
        """Check the values, and refuse a token that is easy to guess."""
        path_text(self.certificate, "certificate")
        path_text(self.key, "key")
        require_name(self.host, "host")
        require_count(self.port, "port", least=0)
        require_text(self.token, "token")
        if len(self.token) < _LEAST_TOKEN_CHARACTERS:
            raise InvalidOptionError(
                f"token has {len(self.token)} characters; give one with at least "
                f"{_LEAST_TOKEN_CHARACTERS}, like secrets.token_urlsafe() makes.",
                option="token",
            )

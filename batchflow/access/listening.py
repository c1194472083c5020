"""Listening beyond the machine's own user, where that is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from batchflow.errors import DefinitionError

_LEAST_TOKEN_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True)
class Listen:
    """An address to listen at beside the store's own socket, with TLS and a token.

    Attributes:
        certificate: the file of the server's certificate, with the chain to its root (PEM).
        key: the file of its private key (PEM).
        token: what a caller has to know, at least 16 characters. It lets them ask and change
            everything that the engine's own user may.
        host: the address.
        port: the port; 0 takes a free one.
    """

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]
    token: str = field(repr=False)
    host: str = "localhost"
    port: int = 0

    def __post_init__(self) -> None:
        """Refuse a token that is soon guessed."""
        if len(self.token) < _LEAST_TOKEN_CHARACTERS:
            raise DefinitionError(
                f"the token has {len(self.token)} characters; give one with at least "
                f"{_LEAST_TOKEN_CHARACTERS}, like secrets.token_urlsafe() makes"
            )

"""A real Postgres on a Unix socket, of the postgres that is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PASSWORD: Final = "canary-pass-7f3a"
"""The password of each connection; nothing may show it."""

_FAST: Final = ("fsync=off", "full_page_writes=off", "listen_addresses=", "shared_buffers=16MB")


@dataclass(frozen=True)
class Postgres:
    """A server with one user."""

    folder: Path

    @property
    def url(self) -> str:
        """Its URL, with the password."""
        return f"postgresql://tester:{PASSWORD}@/postgres?host={self.folder}"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement, and return its rows."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if statement.startswith("SELECT") else []
            connection.commit()
        return rows


def programs() -> Path | None:
    """Return the folder of Postgres' programs; None if it isn't installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server, until the end of the block."""
    found = programs()
    assert found is not None, "Install Debian's package postgresql."
    # A socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        user = _user(folder)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        options = ("-U", "tester", "-A", "scram-sha-256", "--pwfile", str(folder / "password"))
        made = [found / "initdb", "-D", folder / "data", *options, "--no-sync", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **user)
        settings = [text for each in _FAST for text in ("-c", each)]
        process = subprocess.Popen(
            [found / "postgres", "-D", folder / "data", "-k", folder, *settings],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            **user,
        )
        with process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    if "ready to accept connections" in line:
                        break
                yield Postgres(folder)
            finally:
                process.terminate()
                process.stderr.read()


def _user(folder: Path) -> dict[str, Any]:
    """Return the user that executes the programs, as Postgres refuses root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    return {"user": user.pw_uid, "group": user.pw_gid}

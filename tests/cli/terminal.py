"""A command on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from command_line import arguments_of, environment


class Terminal:
    """A command on its own terminal, which can be closed."""

    def __init__(self, folder: Path, *arguments: object, before: str = "") -> None:
        self.master, self._slave = pty.openpty()
        self.process = subprocess.Popen(
            # By opening the terminal, the shell makes it the controlling one of the session.
            ["sh", "-c", f'{before} exec "$@" <"$0" >"$0" 2>&1', os.ttyname(self._slave),
             *arguments_of(arguments)],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.shown = ""

    def await_text(self, text: str) -> None:
        while text not in self.shown:
            read = os.read(self.master, 4096)
            self.shown += read.decode(errors="replace")

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            os.close(self._slave)
            self.master = -1

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

"""The coordinator's handle of the process that talks to Ray."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from batchflow.executor.import_path import import_path
from batchflow.executor.launcher import Launcher
from batchflow.executor.nodes.envelope import Envelope, head, unpacked
from batchflow.executor.ray.driver_messages import ToDriver
from batchflow.worker.transport import Inlet, MessageKind, send, socket_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BOOTSTRAP: Final = (
    "import json, sys; sys.path[:], parent, descriptor = json.loads(sys.argv[1]); "
    # This comes first because the other imports take a while.
    "from batchflow.worker.parent import end_with_parent; end_with_parent(parent); "
    "from batchflow.executor.ray.driver import main; main(descriptor)"
)
# Actors have five seconds to end their workers.
_CLOSING_SECONDS: Final = 12.0


class DriverProcess:
    """Starts the process; it ends with this one.

    Attributes:
        channel: The socket; it is readable when there is a message, or the process has ended.
    """

    def __init__(self, launcher: Launcher) -> None:
        self.channel, theirs = socket_pair()
        self._inlet = Inlet(self.channel)
        with theirs:
            descriptor = theirs.fileno()
            arguments = json.dumps([import_path(), os.getpid(), descriptor])
            self._process = launcher.start(lambda: _launch(descriptor, arguments))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(
        self, kind: ToDriver, inner: Callable[[BinaryIO], None] | None = None, **fields: Any
    ) -> None:
        """Send a message; ``inner`` writes its body.

        If the process has ended, the message is dropped: its end is noticed at the channel.
        """

        def write(file: BinaryIO) -> None:
            file.write(head(kind, **fields))
            if inner is not None:
                inner(file)

        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self.channel, MessageKind.ENVELOPE, 0, write)

    def received(self) -> Iterator[Envelope]:
        """Yield the messages that have arrived.

        Raises:
            InvalidMessageError: The process sent something else.
            InvalidEnvelopeError: The same.
        """
        while (message := self._inlet.next()) is not None:
            if message.payload is not None:
                yield from unpacked(message.payload)

    @property
    def ended(self) -> bool:
        """Whether the process has closed its end of the channel."""
        return self._inlet.ended

    def close(self) -> None:
        """End the actors of all nodes, then the process."""
        self.send(ToDriver.CLOSE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSING_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once; Ray ends the actors."""
        self._process.kill()
        self._process.wait()
        self._inlet.close()
        self.channel.close()


def _launch(descriptor: int, arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, arguments],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        # Its output isn't the coordinator's; its messages have what the coordinator shows.
        stdout=subprocess.DEVNULL,
        env=_environment(),
        process_group=0,
    )


def _environment() -> dict[str, str]:
    """Return this process's environment, which may choose otherwise."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        # What crosses is Arrow and JSON; a different patch version of Python is no obstacle.
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        **os.environ,
    }

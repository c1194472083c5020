"""The limit on the size of files that a worker was started with."""

from __future__ import annotations

import resource


class FileSizeLimit:
    """Remembers the limit (``RLIMIT_FSIZE``), because a step may change it for its whole process.

    Results travel in files, so a step that lowers the limit would keep them from being sent.
    """

    def __init__(self) -> None:
        self._given = resource.getrlimit(resource.RLIMIT_FSIZE)

    def restored(self) -> bool:
        """Set the limit as it was; return whether it was another one.

        Raises:
            ValueError: A step has lowered the hard limit, and this process may not raise it.
        """
        if resource.getrlimit(resource.RLIMIT_FSIZE) == self._given:
            return False
        resource.setrlimit(resource.RLIMIT_FSIZE, self._given)
        return True

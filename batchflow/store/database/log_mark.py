"""The mark in a store's file that its last commits are in a log beside it.

Without its log, a file looks like one that was closed earlier. So each checkpoint but the last
writes the mark into the file, and the first commit in the next log removes it. A file with the mark
whose log isn't there has lost commits. Until that first commit, the checkpoint's journal exists.
Programs that read the file with its log, to copy it for example, don't see the mark.
"""

from __future__ import annotations

from pathlib import Path

from batchflow.errors import StoreError
from batchflow.store.database.file_format import stored_format
from batchflow.store.database.instance import Cursor
from batchflow.store.database.new_file import log_of
from batchflow.store.database.open_file import OpenFile

_FIRST_FORMAT = 3


def mark(cursor: Cursor, file: OpenFile) -> None:
    """Commit that a log follows the next checkpoint."""
    cursor.execute("UPDATE batchflow.store SET log_path = ?", [str(log_of(file.path))])
    file.marked = True


def unmark(cursor: Cursor, file: OpenFile) -> None:
    """Remove the mark, by a commit in the log."""
    cursor.execute("UPDATE batchflow.store SET log_path = NULL")
    file.marked = False


def refuse_lost_log(root: Cursor, path: Path) -> None:
    """Refuse a file that was opened without a log and is marked.

    Raises:
        StoreError: The log is lost.
    """
    if stored_format(root) < _FIRST_FORMAT:
        return
    [(log,)] = root.execute("SELECT log_path FROM batchflow.store").fetchall()
    if log is not None:
        raise StoreError(
            f"The store {str(path)!r} was not closed, and the log with its last commits is missing "
            f"or empty. It was {log!r}: move or copy it to {str(log_of(path))!r}, then open the "
            "store again. If it is lost, restore a backup, or accept the loss of these commits: "
            "execute 'UPDATE batchflow.store SET log_path = NULL' in the file with DuckDB."
        )

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
    """Refuse a file that was opened without a log, or with one that DuckDB took for an empty one.

    Raises:
        StoreError: The log is lost, or damaged at its beginning.
    """
    if stored_format(root) < _FIRST_FORMAT:
        return
    [(marked,)] = root.execute("SELECT log_path FROM batchflow.store").fetchall()
    if marked is None:
        return
    log = log_of(path)
    if log.exists() and log.stat().st_size > 0:
        found = f"{str(log)!r} is damaged at its beginning, and was left as it is: "
        remedy = "put a whole copy of it in its place, then open the store again."
    else:
        found = f"is missing or empty. It was {marked!r}: "
        remedy = f"move or copy it to {str(log)!r}, then open the store again."
    raise StoreError(
        f"The store {str(path)!r} was not closed, and the log with its last commits {found}"
        f"{remedy} If it is lost, restore a backup, or accept the loss of these commits: remove "
        "what is left of the log, and execute 'UPDATE batchflow.store SET log_path = NULL' in the "
        "file with DuckDB."
    )

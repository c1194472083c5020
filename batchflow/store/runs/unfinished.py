"""The foreign ids that have an unfinished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.definition.run_state import RunState
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import Layout, literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An IN list, because DuckDB looks up equality in a row group's statistics, but not `<=`. With ten
# million finished runs the query takes half a millisecond instead of a hundred.
UNFINISHED: Final = (
    "run_state IN (" + ", ".join(literal(s.name) for s in RunState if not s.finished) + ")"
)
_MOST_KEPT: Final = 250_000
_SCANS_BEFORE_RETRY: Final = 64
_MOST_RECENT: Final = 4_096


def has_unfinished(cursor: Cursor, layout: Layout) -> bool:
    """Return whether any run is unfinished."""
    found = cursor.execute(f"SELECT 1 FROM {layout.runs} WHERE {UNFINISHED} LIMIT 1").fetchall()
    return bool(found)


def second_of_id(layout: Layout, waking: str) -> str:
    """Return the query for the finished runs that may not become unfinished.

    Another run of their foreign id is unfinished, or is finished later and wakes as well.

    Args:
        layout: Where the runs are.
        waking: The query for ``seq`` and ``foreign_id`` of finished runs that would be unfinished.
    """
    return f"""
        WITH waking AS (FROM ({waking}) WHERE foreign_id IS NOT NULL)
        SELECT seq FROM waking
        WHERE foreign_id IN (SELECT foreign_id FROM {layout.runs} WHERE {UNFINISHED})
           OR seq NOT IN (SELECT max(seq) FROM waking GROUP BY foreign_id)"""


class UnfinishedIds:
    """Finds the unfinished run of a foreign id without a scan of all runs.

    For each run that was unfinished when it was read, the hash of its foreign id and its seq are
    kept, 16 bytes together. A finished run only becomes unfinished again after `forget`, so a run
    that isn't kept can only be newer, with a higher seq; a run that is kept is looked up by its
    seq. If there are too many unfinished runs, none is kept for a while, and each look-up is a
    scan: 5 ms per million runs. Use it in a writing transaction that hasn't written any run yet.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._next_unread_seq = 0
        self._scans_left = 0
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._seqs: NDArray[np.int64] = np.empty(0, np.int64)
        self._recent: dict[int, list[int]] = {}

    def forget(self) -> None:
        """Read all unfinished runs again; in the transaction that puts finished ones back."""
        self._forget()
        self._next_unread_seq = 0

    def find(self, cursor: Cursor, foreign_id: str, next_seq: int) -> bool:
        """Return whether a run of this foreign id is unfinished.

        Args:
            cursor: The transaction's cursor.
            foreign_id: The foreign id.
            next_seq: The seq of the next run.
        """
        if not self._read_up_to(cursor, next_seq):
            return self._is_unfinished(cursor, foreign_id, "true")
        wanted = _hash(cursor, foreign_id)
        seqs = self._seqs_of(wanted)
        if seqs and self._is_unfinished(cursor, foreign_id, f"seq IN ({_listed(seqs)})"):
            return True
        # All of them are finished, and the same foreign id may arrive often.
        self._recent.pop(wanted, None)
        return False

    def _is_unfinished(self, cursor: Cursor, foreign_id: str, where: str) -> bool:
        query = (
            f"SELECT 1 FROM {self._layout.runs} WHERE {where} AND foreign_id = ? AND {UNFINISHED}"
        )
        return bool(cursor.execute(f"{query} LIMIT 1", [foreign_id]).fetchall())

    def _seqs_of(self, wanted: int) -> list[int]:
        first = int(np.searchsorted(self._hashes, np.uint64(wanted), "left"))
        last = int(np.searchsorted(self._hashes, np.uint64(wanted), "right"))
        return [*self._seqs[first:last].tolist(), *self._recent.get(wanted, ())]

    def _read_up_to(self, cursor: Cursor, next_seq: int) -> bool:
        """Read the newer runs; return whether all unfinished runs are kept now."""
        if self._scans_left:
            self._scans_left -= 1
            return False
        if next_seq > self._next_unread_seq:
            complete = self._read_newer_runs(cursor)
            self._next_unread_seq = next_seq if complete else 0
            return complete
        return True

    def _read_newer_runs(self, cursor: Cursor) -> bool:
        found = cursor.execute(
            f"SELECT hash(foreign_id) AS hash, seq FROM {self._layout.runs} "
            f"WHERE seq >= ? AND {UNFINISHED} LIMIT ?",
            [self._next_unread_seq, _MOST_KEPT + 1],
        ).fetchnumpy()
        hashes, seqs = np.asarray(found["hash"], np.uint64), np.asarray(found["seq"], np.int64)
        if len(hashes) + len(self._hashes) > _MOST_KEPT:
            self._scans_left = _SCANS_BEFORE_RETRY
            self._forget()
            return False
        self._keep(hashes, seqs)
        return True

    def _keep(self, hashes: NDArray[np.uint64], seqs: NDArray[np.int64]) -> None:
        if len(hashes) + len(self._recent) < _MOST_RECENT:
            # A row loop, because these are the few runs that were triggered one at a time.
            for foreign, seq in zip(hashes.tolist(), seqs.tolist(), strict=True):
                self._recent.setdefault(foreign, []).append(seq)
        else:
            self._merge(hashes, seqs)

    def _merge(self, hashes: NDArray[np.uint64], seqs: NDArray[np.int64]) -> None:
        recent = [(foreign, seq) for foreign, all_ in self._recent.items() for seq in all_]
        merged = np.concatenate(
            [self._hashes, hashes, np.array([foreign for foreign, _ in recent], np.uint64)]
        )
        numbers = np.concatenate([self._seqs, seqs, np.array([seq for _, seq in recent], np.int64)])
        order = np.argsort(merged, kind="stable")
        self._forget()
        self._hashes, self._seqs = merged[order], numbers[order]

    def _forget(self) -> None:
        self._hashes = np.empty(0, np.uint64)
        self._seqs = np.empty(0, np.int64)
        self._recent = {}


def _hash(cursor: Cursor, foreign_id: str) -> int:
    [(found,)] = cursor.execute("SELECT hash(CAST(? AS VARCHAR))", [foreign_id]).fetchall()
    return int(found)


def _listed(seqs: list[int]) -> str:
    return ", ".join(map(str, seqs))

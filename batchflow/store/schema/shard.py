"""A shard: one of several stores that share the runs of a workflow by their foreign ids.

The shard of a foreign id is ``1 + h % shards``, where h is the number that the first 14 digits of
the hexadecimal MD5 of its UTF-8 bytes are. Unlike DuckDB's ``hash()``, it is the same in each
release, on each machine and in each language.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from batchflow.errors import InvalidOptionError, StoreFormatError
from batchflow.operation.options import foreign_id_text
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import SEQ_BITS, SLOT_BITS, new_run_id_base

MOST_SHARDS: Final = 1_000
READY: Final = ".ready"
"""The end of the name of the folder that has the files of a set until they are in place."""

_DIGITS: Final = 14
_GIVEN: Final = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")

READ_SHARD: Final = "SELECT shard, shards, shard_set, pattern, slot FROM batchflow.shard"


@dataclass(frozen=True)
class ShardNumber:
    """The number of a shard, from 1 on, and how many there are.

    Raises:
        InvalidOptionError: There is no such shard.
    """

    shard: int
    shards: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_shards(self.shards)
        if not 1 <= self.shard <= self.shards:
            raise InvalidOptionError(
                f"shard is {self}; give a number from 1 to {self.shards} before the slash.",
                option="shard",
            )

    @classmethod
    def of(cls, given: object) -> ShardNumber:
        """Return the shard that is given as text, like ``"3/8"``."""
        found = _GIVEN.fullmatch(given) if isinstance(given, str) else None
        if found is None:
            raise InvalidOptionError(
                f"shard is {given!r}; give its number and how many there are, at most "
                f'{MOST_SHARDS:,}, like "3/8".',
                option="shard",
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.shard}/{self.shards}"


@dataclass(frozen=True)
class Shard:
    """One shard of a set, as its file states it.

    Attributes:
        number: Which shard it is.
        shard_set: The id of the set, which all of its files have.
        pattern: The name of the files when they were created, with ``{shard}``.
        slot: Where the seqs of its own runs begin, in units of 2**36. No other shard has it.
    """

    number: ShardNumber
    shard_set: UUID
    pattern: str
    slot: int

    @property
    def first_seq(self) -> int:
        """The seq of its first own run."""
        return self.slot << SLOT_BITS

    @property
    def is_rewritten(self) -> bool:
        """Whether it was made of the shards of a set with another number of shards."""
        return self.slot != self.number.shard - 1

    def run_id_base(self, workflow: str) -> int:
        """Return the base of the workflow's run ids, which is the same in all shards of the set."""
        digest = hashlib.sha256(self.shard_set.bytes + workflow.encode()).digest()
        return new_run_id_base(int.from_bytes(digest[:16], "big"))

    def has(self, key: str) -> str:
        """Return the condition, in SQL, that the run of a foreign id is in this shard."""
        return f"{sql_shard_of(key, self.number.shards)} = {self.number.shard}"

    def has_id(self, foreign_id: str) -> bool:
        """Return whether the run of a foreign id is in this shard."""
        return shard_of(foreign_id, self.number.shards) == self.number.shard


def shard_of(foreign_id: str | int, shards: int) -> int:
    """Return the number of the shard, from 1 on, that has the runs of a foreign id.

    Args:
        foreign_id: The foreign id, a text or an integer.
        shards: The number of shards.

    Raises:
        InvalidOptionError: There can't be so many shards, or no run can have this foreign id.
    """
    require_shards(shards)
    try:
        key = foreign_id_text(foreign_id).encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidOptionError(
            f"foreign_id is {foreign_id!r}; give a text or an integer.", option="foreign_id"
        ) from None
    digest = hashlib.md5(key, usedforsecurity=False).hexdigest()
    return 1 + int(digest[:_DIGITS], 16) % shards


def sql_shard_of(key: str, shards: int) -> str:
    """Return the SQL of the number of the shard of a foreign id; 1 for NULL."""
    return f"(1 + coalesce(('0x' || left(md5({key}), {_DIGITS}))::BIGINT % {shards}, 0))"


def sql_shard_of_hash(hashed: str, shards: int) -> str:
    """Return the same from DuckDB's ``md5_number``, whose lowest byte is the first of the hash."""
    first = _DIGITS // 2
    parts = " + ".join(
        f"(({hashed} >> {8 * at}::UHUGEINT & 255::UHUGEINT)::BIGINT << {8 * (first - 1 - at)})"
        for at in range(first)
    )
    return f"(1 + ({parts}) % {shards})"


def require_shards(shards: object) -> None:
    """Raise InvalidOptionError unless there can be so many shards."""
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= MOST_SHARDS:
        raise InvalidOptionError(
            f"shards is {shards!r}; give a number from 1 to {MOST_SHARDS}.", option="shards"
        )


def most_slots() -> int:
    """Return how many slots the seqs of a workflow have."""
    return 1 << (SEQ_BITS - SLOT_BITS)


def stored_shard(cursor: Cursor) -> Shard | None:
    """Return which shard an open file is; None for an ordinary store."""
    found = cursor.execute(READ_SHARD).fetchall()
    return shard_of_row(*found[0]) if found else None


def shard_of_row(shard: int, shards: int, shard_set: UUID, pattern: str, slot: int) -> Shard:
    """Return the shard of a row of ``batchflow.shard``."""
    return Shard(ShardNumber(shard, shards), shard_set, pattern, slot)


def store_shard(cursor: Cursor, shard: Shard) -> None:
    """Write into a file which shard it is; within the transaction of the caller."""
    number = shard.number
    cursor.execute("DELETE FROM batchflow.shard")
    cursor.execute(
        "INSERT INTO batchflow.shard VALUES (?, ?, ?, ?, ?)",
        [number.shard, number.shards, shard.shard_set, shard.pattern, shard.slot],
    )


def require_shard(cursor: Cursor, path: Path | None, expected: ShardNumber | None = None) -> None:
    """Require that an open file is a shard, if one is expected, and the latest file of its set.

    A process that is killed while it puts the files of a set in place leaves some in a folder.

    Raises:
        StoreFormatError: It is an ordinary store, or another shard, or may be outdated.
    """
    found = stored_shard(cursor)
    if expected is not None and (found is None or found.number != expected):
        raise not_that_shard(path, found, expected)
    if found is None or path is None:
        return
    folder = path.with_name(found.pattern + READY)
    if folder.is_dir():
        raise StoreFormatError(
            f"The files in {str(folder)!r} aren't in place yet, so {str(path)!r} may be outdated. "
            f"Open the whole set, as by: batchflow status --store {shlex.quote(found.pattern)}"
        )


def not_that_shard(
    path: Path | None, found: Shard | None, expected: ShardNumber
) -> StoreFormatError:
    """Return the error for a file that is another shard than it has to be, or none at all."""
    what = "a store by itself and no shard" if found is None else f"shard {found.number}"
    other = found is not None and found.number.shards != expected.shards
    remedy = (
        "Give the number of shards that the set was created with, or rewrite the set with "
        "'batchflow reshard'."
        if other
        else "Give the path and the number of the same shard."
    )
    return StoreFormatError(f"{str(path)!r} is {what}, not shard {expected}. {remedy}")

"""The report of a check of a store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from batchflow.picture import html_table
from batchflow.short_form import counted


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a store.

    Attributes:
        workflow: The workflow's name.
        what: The problem, as a noun with a clause.
        count: How many times; 0 if it can't be counted.
        samples: The run ids of up to three of the runs.
    """

    workflow: str
    what: str
    count: int
    samples: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = f"{self.count:,} " if self.count else ""
        samples = f" ({', '.join(self.samples)})" if self.samples else ""
        return f"{self.workflow}: {count}{self.what}{samples}"


@dataclass(frozen=True)
class TableSize:
    """The size of a table: its rows, and the bytes of its blocks in the file.

    Tables that are small share a block, which counts for each of them.
    """

    table: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class CheckReport:
    """The report of a check of a store.

    Attributes:
        problems: The problems; none if the store is sane.
        unverified: The parts that couldn't be verified, each as a sentence.
        tables: The size of each table.
        file_bytes: The size of the file, without its log; 0 in memory.
        free_bytes: The part of it that is free, and is used again.
        files: How many files these are the sizes of: the shards of a set.
    """

    problems: tuple[Problem, ...]
    unverified: tuple[str, ...]
    tables: tuple[TableSize, ...]
    file_bytes: int
    free_bytes: int
    files: int = 1

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        found = [f"{counted(len(self.problems), 'problem')}:", *map(str, self.problems)]
        lines = ["The store is sane."] if self.ok else found
        if self.unverified:
            lines += ["Not verified:", *self.unverified]
        free = f"of which {self.free_bytes:,} are free"
        have = "The file has" if self.files == 1 else f"The {self.files} files have"
        lines.append(f"{have} {self.file_bytes:,} bytes, {free}.")
        lines += [f"{each.table}: {each.rows:,} rows, {each.bytes:,} bytes" for each in self.tables]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        found = [(each.workflow, f"{each.count:,}", each.what) for each in self.problems]
        sizes = [(each.table, f"{each.rows:,}", f"{each.bytes:,}") for each in self.tables]
        notes = [(each,) for each in self.unverified]
        return (
            html_table(("workflow", "count", "problem"), found, numbers={1})
            + html_table(("not verified",), notes)
            + html_table(("table", "rows", "bytes"), sizes, numbers={1, 2})
        )

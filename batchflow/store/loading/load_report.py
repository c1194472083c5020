"""What became of a source, for those who read it and those who count on it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class InvalidColumn:
    """The rows of one column that don't fit its field.

    Attributes:
        column: the source's column.
        expected: what its field holds.
        count: how many rows don't fit; a row counts for its first such column alone.
        sample: the first few, by row number (from 1) and foreign id; with what was found only
            where values may be shown.
    """

    column: str
    expected: str
    count: int
    sample: tuple[str, ...]

    def __str__(self) -> str:
        rows = f"{self.count:,} row{'' if self.count == 1 else 's'}"
        more = ", …" if self.count > len(self.sample) else ""
        shown = f"{', '.join(self.sample)}{more}"
        verb = "doesn't" if self.count == 1 else "don't"
        return f"{rows} of column {self.column!r} {verb} fit {self.expected} ({shown})"


@dataclass(frozen=True)
class LoadReport:
    """Say what became of a source's rows.

    Attributes:
        workflow: the workflow's name.
        status: the name of the status where the runs begin.
        code: its code.
        loaded: how many runs were triggered.
        first_seq: the number of the first run; the others follow without a gap.
        last_seq: the number of the last run; one less than `first_seq` if there is none.
        skipped_conflicts: how many rows were left out, as their foreign id has an unfinished run
            or stood in the source before.
        conflict_sample: a few of these foreign ids.
        skipped_invalid: how many rows were left out, as they don't fit the fields' types.
        invalid: by column, which rows these were.
    """

    workflow: str
    status: str
    code: int
    loaded: int
    first_seq: int
    last_seq: int
    skipped_conflicts: int = 0
    conflict_sample: tuple[str, ...] = ()
    skipped_invalid: int = 0
    invalid: tuple[InvalidColumn, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.workflow}: {self.loaded:,} runs loaded at {self.status}"]
        if self.skipped_conflicts:
            more = ", …" if self.skipped_conflicts > len(self.conflict_sample) else ""
            lines.append(
                f"  {self.skipped_conflicts:,} rows left out, as their foreign id has an "
                f"unfinished run or comes twice: {', '.join(self.conflict_sample)}{more}"
            )
        lines.extend(f"  left out: {column}" for column in self.invalid)
        return "\n".join(lines)


@dataclass(frozen=True)
class Placed:
    """One run that was triggered.

    Attributes:
        run_id: its id.
        code: the code of the status where it begins.
        first_seq: its number.
        last_seq: its number too.
    """

    run_id: UUID
    code: int
    first_seq: int
    last_seq: int

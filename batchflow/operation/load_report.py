"""The result of a load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InvalidColumn:
    """The rows that don't fit in one column.

    Attributes:
        column: The source's column.
        expected: The field's type.
        count: The number of rows that don't fit; a row counts only for its first such column.
        sample: The first few, with row number (from 1) and foreign id, and with the value if
            values may be shown.
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
    """The number of runs that a load started, and the rows that it left out.

    Attributes:
        workflow: The workflow's name.
        status: The name of the status where the runs begin.
        code: The code of that status.
        loaded: The number of runs that were started.
        first_seq: The number of the first run; the others follow without a gap.
        last_seq: The number of the last run; one less than `first_seq` if there is none.
        skipped_conflicts: The number of rows that were left out because their foreign id has an
            unfinished run, or occurs in an earlier row of the source.
        conflict_sample: A few of these foreign ids.
        skipped_invalid: The number of rows that were left out because they don't fit the fields'
            types.
        invalid: These rows by column.
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
        runs = "run" if self.loaded == 1 else "runs"
        lines = [f"{self.workflow}: {self.loaded:,} {runs} loaded at {self.status}"]
        if self.skipped_conflicts:
            more = ", …" if self.skipped_conflicts > len(self.conflict_sample) else ""
            rows, their = ("row", "its") if self.skipped_conflicts == 1 else ("rows", "their")
            lines.append(
                f"  left out: {self.skipped_conflicts:,} {rows}, because {their} foreign id has "
                f"an unfinished run or occurs twice ({', '.join(self.conflict_sample)}{more})"
            )
        lines.extend(f"  left out: {column}" for column in self.invalid)
        return "\n".join(lines)

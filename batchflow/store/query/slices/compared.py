"""The runs that are compared: those that a predicate chooses, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchflow.errors import QueryError
from batchflow.operation.parameters import Params
from batchflow.short_form import counted
from batchflow.store.query.moments import ALWAYS, Period
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.slices.features import SOURCE, WORKER, chunks_of, files_of
from batchflow.store.query.source import Source
from batchflow.store.schema.tables import Tables

CHOSEN: Final = "_batchflow_chosen"
# Of either side, a sample of so many shows what separates them; the lines count all runs.
MOST_RUNS: Final = 200_000
_HASHES: Final = 2**64
# A predicate that chooses by hash(seq) chooses independently of the sample.
_HASH: Final = f"hash(xor(seq, {0x5DEECE66D}))"


@dataclass(frozen=True)
class Compared:
    """The runs of a workflow, of which a predicate chooses some.

    Attributes:
        source: Executes queries.
        tables: The workflow's tables.
        where: The predicate, as one condition.
        params: The values of its parameters.
        question: Explains why the predicate is refused.
        period: Only runs that changed in it are compared.
        sources: Whether the runs of loaded files are known.
        step: The step whose workers are compared; None if they aren't known.
        sample: The condition that chooses the runs among which slices are searched.
    """

    source: Source
    tables: Tables
    where: str
    params: Params
    question: Question
    period: Period = ALWAYS
    sources: bool = False
    step: str | None = None
    sample: str = "true"

    @property
    def runs(self) -> str:
        """The query of all runs that are compared, with `CHOSEN`."""
        return (
            f"SELECT runs.*, coalesce({self.where}, false) AS {CHOSEN} FROM {self.tables.runs} "
            f"WHERE {self.period.has('updated_at')}"
        )

    @property
    def sampled(self) -> str:
        """The query of the runs of the sample, with `CHOSEN`."""
        return f"SELECT * FROM (\n{self.runs}\n) WHERE {self.sample}"

    @property
    def located(self) -> str:
        """The query of the runs of the sample, with `CHOSEN`, `SOURCE` and `WORKER`."""
        columns, table = "runs.*", f"(\n{self.sampled}\n) AS runs"
        if self.sources:
            columns += f", {_value(SOURCE)}"
            table += _ranges(SOURCE, files_of(self.tables), "path")
        if self.step is not None:
            columns += f", {_value(WORKER)}"
            table += _ranges(WORKER, chunks_of(self.tables, self.step), "worker")
        return f"SELECT {columns} FROM {table}"

    def query(
        self, runs: str, expressions: Sequence[str], after: str = "", where: str = "true"
    ) -> Relation:
        """Return expressions over those of `runs`, `sampled` or `located` with a condition."""
        text = f"SELECT {', '.join(expressions)} FROM (\n{runs}\n) AS runs WHERE {where} {after}"
        return self.whole(text)

    def whole(self, text: str) -> Relation:
        """Return a query over `runs` of this, with the parameters of the predicate."""
        return Relation(self.source, text, self.params, self.question)


@dataclass(frozen=True)
class Sizes:
    """How many runs are compared.

    Attributes:
        chosen: The chosen runs.
        rest: All others.
    """

    chosen: int
    rest: int

    @property
    def sample(self) -> str:
        """Return the condition that chooses a sample of either side, always the same runs."""
        if max(self.chosen, self.rest) <= MOST_RUNS:
            return "true"
        chosen, rest = (_limit(runs) for runs in (self.chosen, self.rest))
        # DuckDB evaluates the first comparison before the predicate.
        return (
            f"{_HASH} <= {max(chosen, rest)}::UBIGINT "
            f"AND {_HASH} <= CASE WHEN {CHOSEN} THEN {chosen} ELSE {rest} END::UBIGINT"
        )

    def require_both(self, workflow: str) -> None:
        """Raise QueryError unless there are runs to compare with others."""
        if not self.chosen + self.rest:
            raise QueryError(f"There are no runs of {workflow!r} to compare.")
        if not self.chosen:
            raise QueryError(
                f"The predicate chooses none of the {counted(self.rest, 'run')} of {workflow!r}, "
                "so there is nothing to explain; choose some."
            )
        if not self.rest:
            raise QueryError(
                f"The predicate chooses all of the {counted(self.chosen, 'run')} of {workflow!r}, "
                "so there are no others to compare them with; choose fewer."
            )


def _ranges(name: str, rows: str, value: str) -> str:
    """Return the join of runs with the range of runs that begins last before each."""
    return (
        f" ASOF LEFT JOIN (SELECT first_seq AS {name}_first, last_seq AS {name}_last, "
        f"{value} AS {name}_value {rows} AND first_seq IS NOT NULL) AS {name}_ranges "
        f"ON seq >= {name}_first"
    )


def _value(name: str) -> str:
    return f"CASE WHEN seq <= {name}_last THEN {name}_value END AS {name}"


def _limit(runs: int) -> int:
    return min(_HASHES - 1, _HASHES * MOST_RUNS // runs)

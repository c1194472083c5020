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
from batchflow.store.query.source import Source
from batchflow.store.schema.tables import Tables

CHOSEN: Final = "_batchflow_chosen"
# Of either side, a sample of so many shows what separates them; the lines count all runs.
MOST_RUNS: Final = 200_000
_HASHES: Final = 2**64
# A predicate that chooses by hash(seq) chooses independently of the sample.
_MIXED: Final = 0x5DEECE66D
_HASH: Final = f"hash(xor(seq, {_MIXED}))"
# DuckDB decompresses texts of about so many rows at once.
_BLOCK_BITS: Final = 15
BLOCKS_PER_SAMPLE: Final = 16
_IN_BLOCKS: Final = (
    f"hash(xor(seq >> {_BLOCK_BITS}, {_MIXED})) <= {_HASHES // BLOCKS_PER_SAMPLE}::UBIGINT"
)


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
        sizes: How many they are, once that is known.
    """

    source: Source
    tables: Tables
    where: str
    params: Params
    question: Question
    period: Period = ALWAYS
    sizes: Sizes | None = None

    @property
    def runs(self) -> str:
        """The query of all runs that are compared, with `CHOSEN`."""
        return self._runs_where("true")

    @property
    def sampled(self) -> str:
        """The query of the runs of the sample, with `CHOSEN`."""
        if self.sizes is None or not self.sizes.are_sampled:
            return self.runs
        some, exact = self.sizes.sample
        return f"SELECT * FROM (\n{self._runs_where(some)}\n) WHERE {exact}"

    @property
    def in_blocks(self) -> str:
        """The query of the runs of some blocks, with `CHOSEN`; no others are decompressed."""
        return self._runs_where(_IN_BLOCKS)

    def _runs_where(self, condition: str) -> str:
        # Only a condition in this place is evaluated before other columns are decompressed.
        return (
            f"SELECT runs.*, coalesce({self.where}, false) AS {CHOSEN} FROM {self.tables.runs} "
            f"WHERE {condition} AND {self.period.has('updated_at')}"
        )

    def query(
        self, runs: str, expressions: Sequence[str], after: str = "", where: str = "true"
    ) -> Relation:
        """Return expressions over those of `runs` or `sampled` with a condition."""
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
    def sample(self) -> tuple[str, str]:
        """Return the conditions that choose a sample of either side, always the same runs.

        The first one is over ``seq`` only, and chooses the runs of which some are in the sample.
        """
        chosen, rest = (_limit(runs) for runs in (self.chosen, self.rest))
        return (
            f"{_HASH} <= {max(chosen, rest)}::UBIGINT",
            f"{_HASH} <= CASE WHEN {CHOSEN} THEN {chosen} ELSE {rest} END::UBIGINT",
        )

    @property
    def are_sampled(self) -> bool:
        """Whether there are so many runs that a sample of them is compared."""
        return max(self.chosen, self.rest) > MOST_RUNS

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


def _limit(runs: int) -> int:
    return min(_HASHES - 1, _HASHES * MOST_RUNS // runs)

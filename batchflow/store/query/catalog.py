"""The workflows that questions are about, and the runs that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from batchflow.definition.fields import Field
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import InvalidOptionError, RunNotFoundError, StoreFormatError
from batchflow.operation.options import foreign_id_text, run_id_or_none
from batchflow.operation.which_workflow import chosen_workflow
from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
from batchflow.store.schema.run_id import is_of, run_not_found
from batchflow.store.schema.tables import Tables


class Catalog(Protocol):
    """The workflows of a store that can be queried."""

    def tables(self, name: str | None) -> Mapping[str, Tables]:
        """Return where the tables of all workflows are, by name.

        Where `name` isn't among them, this may look into the store again.
        """

    def tables_of_run(self, run_id: UUID) -> Tables | None:
        """Return where the tables of the workflow with such run ids are."""

    def refresh(self) -> bool:
        """Read the workflows again if they may have changed; return whether they have."""

    def definition(self, name: str) -> AnyWorkflow:
        """Return the definition of a workflow, with or without the code of its steps.

        Raises:
            StoreFormatError: The store doesn't have it, as an older batchflow wrote the file.
        """


@dataclass(frozen=True, repr=False)
class FoundRun:
    """A run that a caller named.

    Attributes:
        tables: Where its workflow's tables are.
        seq: Its number; there may be no such run, if it was named by a run id.
    """

    tables: Tables
    seq: int

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of workflow {self.workflow!r}>"

    @property
    def workflow(self) -> str:
        """The name of its workflow."""
        return self.tables.name

    @property
    def run_id(self) -> UUID:
        """Its id."""
        return UUID(int=self.tables.run_id_base + self.seq)


def chosen_tables(catalog: Catalog, name: str | None) -> Tables:
    """Return the tables of the workflow that is named, or of the only one."""
    known = catalog.tables(name)
    return known[chosen_workflow(known, name)]


def fields_known(catalog: Catalog, name: str) -> Sequence[Field]:
    """Return the fields of a workflow; none if the store doesn't have its definition."""
    try:
        return catalog.definition(name).fields
    except StoreFormatError:
        return ()


def is_defined(catalog: Catalog, name: str) -> bool:
    """Return whether the store has the definition of a workflow."""
    try:
        catalog.definition(name)
    except StoreFormatError:
        return False
    return True


def find_run(
    source: Source, catalog: Catalog, run: UUID | str | int, workflow: str | None
) -> FoundRun:
    """Return the run with a run id, or the latest one with a foreign id.

    Raises:
        RunNotFoundError: There is no such run.
        InvalidOptionError: Several workflows have a run with this foreign id.
    """
    run_id = run_id_or_none(run)
    tables = None if run_id is None else catalog.tables_of_run(run_id)
    if run_id is not None and tables is not None:
        return FoundRun(tables, run_id.int - tables.run_id_base)
    foreign_id = foreign_id_text(run)
    if not isinstance(foreign_id, str):
        raise run_not_found(foreign_id)
    return _find_foreign_id(source, catalog, foreign_id, workflow)


def _find_foreign_id(
    source: Source, catalog: Catalog, foreign_id: str, workflow: str | None
) -> FoundRun:
    known = catalog.tables(workflow)
    names = list(known) if workflow is None else [chosen_workflow(known, workflow)]
    latest = " UNION ALL ".join(
        f"SELECT {literal(name)} AS workflow, max(seq) AS seq FROM {known[name].runs} "
        "WHERE foreign_id = $foreign_id"
        for name in names
    )
    query = f"SELECT * FROM ({latest}) WHERE seq IS NOT NULL"
    found = Relation(source, query, {"foreign_id": foreign_id}).fetchall() if names else []
    if len(found) > 1:
        raise InvalidOptionError(
            f"{len(found)} workflows have a run with the foreign id {foreign_id!r}; give workflow= "
            f"one of: {', '.join(repr(name) for name, _ in found)}.",
            option="workflow",
        )
    if not found:
        raise RunNotFoundError(
            f"There is no run {foreign_id!r} in this store, by run id or by foreign id; check the "
            "id and the store's path."
        )
    [(name, seq)] = found
    return FoundRun(known[name], seq)


def tables_with(known: Mapping[str, Tables], run_id: UUID) -> Tables | None:
    """Return the tables of the workflow with such run ids."""
    return next((tables for tables in known.values() if is_of(tables, run_id)), None)

"""Explain what the runs that a predicate chooses share, and the rest doesn't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np

from batchflow import chart
from batchflow.definition.fields import Field
from batchflow.errors import QueryError
from batchflow.operation.parameters import Params, plain_params
from batchflow.store.query.later_tables import has_table
from batchflow.store.query.moments import ALWAYS, Period
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.queries import predicate, refused_predicate
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.slices import traces
from batchflow.store.query.slices.compared import CHOSEN, Compared, Sizes
from batchflow.store.query.slices.conditions import readable_name
from batchflow.store.query.slices.divided import Divided
from batchflow.store.query.slices.features import (
    WIDE_TYPES,
    Shape,
    columns_of_predicate,
    features_of,
)
from batchflow.store.query.slices.listed import with_listed
from batchflow.store.query.slices.refine import RefinedSlice, Refining
from batchflow.store.query.slices.search import SliceSearch
from batchflow.store.query.slices.survey import Codes, divide, read_codes
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import Tables

_WithDefault: TypeAlias = Sequence[tuple[Field, str]]
_Rows: TypeAlias = Sequence[tuple[Any, ...]]

_MOST_LINES: Final = 20
# Of either side at each status, so that a hundredth of them shows.
_ENOUGH_RUNS: Final = 100
_MOST_OF_CHOSEN: Final = 0.9

_KNOWS_SOURCES: Final = """
    SELECT 1 FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = 'batchflow'
      AND table_name = 'loads' AND column_name = 'first_seq'"""
_HAS_SOURCES: Final = """
    SELECT 1 FROM batchflow.loads WHERE workflow = ? AND first_seq IS NOT NULL LIMIT 1"""

_FAILING_STEP: Final = """
    SELECT step FROM {errors} WHERE seq IN (SELECT seq FROM ({runs}) WHERE {chosen})
    GROUP BY step ORDER BY count(*) DESC, step LIMIT 1"""

_LINES: Final = """
    WITH counted AS (SELECT {counts} FROM (SELECT {columns} FROM (
{runs}
) AS runs)),
    lines AS ({lines}),
    shares AS (
        SELECT *, runs / these AS share_of_these, rest / others AS share_of_rest,
               (runs / (runs + rest)) / ((these - runs) / (these - runs + others - rest))
               AS risk_ratio
        FROM lines
    )
    SELECT slice, runs, rest, round(share_of_these, 6) AS share_of_these,
           round(share_of_rest, 6) AS share_of_rest, round(risk_ratio, 3) AS risk_ratio,
           round(greatest(0, share_of_these * (1 - 1 / risk_ratio)), 6) AS explained
    FROM shares ORDER BY place"""
_NO_LINES: Final = """
    SELECT '' AS slice, 0::BIGINT AS runs, 0::BIGINT AS rest, 0::DOUBLE AS share_of_these,
           0::DOUBLE AS share_of_rest, 0::DOUBLE AS risk_ratio, 0::DOUBLE AS explained
    WHERE false"""


def explain(
    source: Source,
    tables: Tables,
    fields: Sequence[Field],
    where: str,
    params: Params = None,
    period: Period = ALWAYS,
) -> PlottableRelation:
    """Return the slices in which runs are chosen more often than elsewhere; see `Questions`."""
    compared = _compared(source, tables, where, params, period)
    sizes = _sizes(compared)
    sizes.require_both(tables.name)
    compared = replace(compared, sizes=sizes)
    filled, doubtful = _filled(compared, sizes, fields)
    left_out = columns_of_predicate(where) | filled
    features = features_of(
        tables, left_out, sources=_knows_sources(source, tables), step=_failing_step(compared)
    )
    own = [each for each in features if each.listed is None]
    divided = _separating(divide(compared, sizes, own), fields)
    codes = read_codes(compared, sizes, divided)
    divided, codes = with_listed(compared, features, divided, codes)
    refining = Refining(compared, divided)
    given = [at for at, each in enumerate(divided) if each.feature.given]
    others = [at for at, each in enumerate(divided) if not each.feature.given]
    certain = [at for at in given if divided[at].feature.column.casefold() not in doubtful]
    found, left = _slices(divided, codes, certain, refining)
    if len(certain) < len(given) and not _is_explained(codes, left):
        found, left = _slices(divided, codes, given, refining)
    # Where and when runs were executed may follow from a failure, so it hides no other line, and
    # is compared for the runs that the others don't have.
    found += [each for at in others for each in _slices(divided, left, [at], refining)[0]]
    query = _lines(compared, found) if found else _NO_LINES
    drawn_as = chart.SLICES.of(tables.name)
    return PlottableRelation(
        source, query, drawn_as, compared.params if found else None, compared.question
    )


def _compared(
    source: Source,
    tables: Tables,
    where: str,
    params: Params,
    period: Period,
) -> Compared:
    bound = plain_params(params)
    condition = predicate(tables, where, bound)

    def refused(error: QueryError) -> QueryError:
        return refused_predicate(tables, where, error.found)

    question = Question(f"SELECT * FROM {tables.runs} WHERE {condition}", refused, bound)
    return Compared(source, tables, condition, bound, question, period)


def _knows_sources(source: Source, tables: Tables) -> bool:
    """Return whether it is known which file each run was loaded from."""
    if not Relation(source, _KNOWS_SOURCES).fetchall():
        return False
    return bool(Relation(source, _HAS_SOURCES, [tables.name]).fetchall())


def _failing_step(compared: Compared) -> str | None:
    """Return the step at which most of the chosen runs failed, if its chunks are known."""
    if not has_table(compared.source, "chunks"):
        return None
    query = _FAILING_STEP.format(
        errors=compared.tables.errors, runs=compared.sampled, chosen=CHOSEN
    )
    found = compared.whole(query).fetchall()
    return str(found[0][0]) if found else None


def _sizes(compared: Compared) -> Sizes:
    counts = [f"count(*) FILTER ({CHOSEN})", "count(*)"]
    [(chosen, runs)] = compared.query(compared.runs, counts).fetchall()
    return Sizes(chosen, runs - chosen)


def _is_explained(codes: Codes, left: Codes) -> bool:
    """Return whether slices have most of the chosen runs, and few others; `left` has the rest."""
    chosen = int(codes.chosen.sum())
    covered = chosen - int(left.chosen.sum())
    others = (len(codes.chosen) - len(left.chosen) - covered) * codes.weight
    return covered >= _MOST_OF_CHOSEN * chosen and covered >= others


def _filled(compared: Compared, sizes: Sizes, fields: Sequence[Field]) -> tuple[set[str], set[str]]:
    """Return the columns that steps fill, and those that they may fill, in lower case."""
    filled, doubtful = set(), set()
    for some, rows in _counted_defaults(compared, sizes, traces.fields_with_default(fields)):
        (runs, untouched, *by_field), chosen = _by_status(rows, sizes)
        for at, (field, _) in enumerate(some):
            default, untouched_default = by_field[2 * at : 2 * at + 2]
            if traces.is_trace(runs, untouched, default, untouched_default):
                filled.add(field.column.casefold())
            elif traces.may_be_trace(runs, default, chosen):
                doubtful.add(field.column.casefold())
    return filled, doubtful


def _counted_defaults(
    compared: Compared, sizes: Sizes, fields: _WithDefault
) -> Iterator[tuple[_WithDefault, _Rows]]:
    """Yield fields with counts of their defaults, for each status of either side.

    Those of texts are counted in some blocks of the runs, if these have runs at all statuses.
    """
    texts = [each for each in fields if each[0].type.sql in WIDE_TYPES] if sizes.are_sampled else []
    others = [each for each in fields if each not in texts]
    if not fields:
        return
    rows = _default_counts(compared, compared.sampled, others)
    yield others, rows
    if texts:
        found = _default_counts(compared, compared.in_blocks, texts)
        known = {row[:2]: row[2] for row in found}
        lacking = any(known.get(row[:2], 0) < min(row[2], _ENOUGH_RUNS) for row in rows)
        yield texts, _default_counts(compared, compared.sampled, texts) if lacking else found


def _default_counts(compared: Compared, runs: str, fields: _WithDefault) -> _Rows:
    counts = [text for _, condition in fields for text in traces.counts_of(condition)]
    expressions = ["status::VARCHAR", CHOSEN, "count(*)", traces.count_of_untouched(), *counts]
    return compared.query(runs, expressions, "GROUP BY ALL").fetchall()


def _by_status(rows: _Rows, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Return estimated counts of all runs at each status, from those of either side's sample.

    And how many of the sampled runs at each status are chosen.
    """
    statuses = {status: at for at, status in enumerate(dict.fromkeys(row[0] for row in rows))}
    counts = np.zeros((2, len(statuses), len(rows[0]) - 2))
    for status, chosen, *counted in rows:
        counts[int(chosen), statuses[status]] = counted
    sampled = counts[:, :, 0].sum(axis=1)
    weights = np.array([sizes.rest, sizes.chosen]) / np.maximum(sampled, 1)
    estimated: np.ndarray = np.tensordot(weights, counts, axes=1).T
    return estimated, counts[1, :, 0]


def _separating(features: Sequence[Divided], fields: Sequence[Field]) -> list[Divided]:
    """Return the features with more than one code: of ids, none is frequent and none is missing."""
    always = {readable_name(field.column) for field in fields if not field.nullable}
    return [
        each
        for each in features
        if each.ends or each.feature.shape is Shape.RANGES or each.feature.expression not in always
    ]


def _slices(
    features: Sequence[Divided], codes: Codes, places: Sequence[int], refining: Refining
) -> tuple[list[RefinedSlice], Codes]:
    """Return slices, each the best among the runs that those before it don't have, and the rest."""
    found: list[RefinedSlice] = []
    while len(found) < _MOST_LINES:
        search = SliceSearch(features, codes, places)
        best = search.best(pairs=len(places) > 1)
        if best is None:
            break
        refined = refining.refined(best, search, found)
        found.append(refined)
        codes = codes.without(search.covered(refined.found))
    return found, codes


def _lines(compared: Compared, slices: Sequence[RefinedSlice]) -> str:
    """Return the query that counts the runs of each slice."""
    columns = [f"coalesce({each.counted}, false) AS in_{at}" for at, each in enumerate(slices)]
    counts = [f"count(*) FILTER ({CHOSEN}) AS these", f"count(*) FILTER (NOT {CHOSEN}) AS others"]
    for at in range(len(slices)):
        counts.append(f"count(*) FILTER ({CHOSEN} AND in_{at}) AS runs_{at}")
        counts.append(f"count(*) FILTER (NOT {CHOSEN} AND in_{at}) AS rest_{at}")
    lines = [
        f"SELECT {at} AS place, {literal(each.sql)} AS slice, runs_{at} AS runs, "
        f"rest_{at} AS rest, these, others FROM counted"
        for at, each in enumerate(slices)
    ]
    return _LINES.format(
        counts=", ".join(counts),
        columns=", ".join([CHOSEN, *columns]),
        runs=compared.runs,
        lines=" UNION ALL ".join(lines),
    )

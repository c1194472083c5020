"""Runs that a SQL step fails with error() are found together, each with its own message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest
from store_kit import Bench, sql_parcels

Open = Callable[..., Bench]

# Parcel i has the weight i, the label 'none' and no note.
EXPRESSIONS = {
    "a branch": "CASE WHEN weight % 3 = 0 THEN error('no ' || weight) ELSE weight * 2 END",
    "two branches": """
        CASE weight % 4 WHEN 0 THEN error('zero') WHEN 1 THEN 7 ELSE error('é' || weight) END
    """,
    "an if": "if(weight > 5, error(label || ' ' || weight), 1)",
    "a missing value": "coalesce(nullif(weight, 4), error('none of ' || weight))",
    "the last of several": "coalesce(nullif(weight, 4), nullif(5, 5), error('none'), 3)",
    "within a call": "abs(CASE WHEN weight = 2 THEN error('two') ELSE weight END) + 1",
    "within a condition": """
        CASE WHEN CASE WHEN weight = 1 THEN error('one') ELSE weight END > 4 THEN 1 ELSE 2 END
    """,
    "within its own message": "if(weight < 3, error(if(weight = 0, error('inner'), 'outer')), 1)",
    "of each run": "error('all, ' || weight)",
    "a message in capitals": "if(weight = 1, ERROR('a\nb'), 0)",
    "no message": "if(weight = 1, error(note), 5)",
    "beside another error": """
        if(weight = 1, error('own'), if(weight = 2, CAST(label AS INTEGER), weight))
    """,
    "a comment": "if(weight = 1, error('one'), 2) -- error('x')",
    "beside a volatile function": "if(weight = 1, error('one'), 2) + (random() * 0)::INTEGER",
    "in a subquery": "(SELECT if(weight = 1, error('one'), 2))",
    "in a lambda": "list_sum([if(x = 1, error('one'), x) for x in [weight, 2]])::INTEGER",
}


def alone(expression: str, weights: range) -> Iterator[int | str | None]:
    """Yield what DuckDB says for each parcel by itself: the value or the error."""
    with duckdb.connect() as connection:
        for weight in weights:
            parcel = f"SELECT {weight}::BIGINT AS weight, 'none' AS label, NULL::VARCHAR AS note"
            try:
                rows = connection.execute(f"SELECT ({expression}\n) FROM ({parcel})").fetchall()
                yield rows[0][0]
            except duckdb.InvalidInputException as error:
                yield str(error).removeprefix("Invalid Input Error: ")
            except duckdb.ConversionException:
                yield "a value can't be converted to INT32"


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_each_run_ends_as_it_would_by_itself(open_bench: Open, case: str) -> None:
    expression = EXPRESSIONS[case]
    expected: list[Any] = list(alone(expression, range(8)))
    bench = open_bench(sql_parcels(values={"weight": expression}))
    bench.seed(8)

    bench.execute()

    found: dict[int, Any] = dict(bench.rows("seq, weight", "status = 'CHECKED'"))
    found |= dict(bench.errors("seq, message"))
    null = "Step 'sql:NEW' set field 'weight' to NULL; it takes int."
    assert [found[seq] for seq in range(8)] == [null if e is None else e for e in expected]


def test_each_of_many_runs_has_the_message_of_its_own(open_bench: Open) -> None:
    expression = "if(weight % 2 = 0, error('no card of ' || weight), weight)"
    bench = open_bench(sql_parcels(values={"weight": expression}))
    bench.seed(5_000)

    bench.execute()

    messages = dict(bench.errors("seq, message"))
    assert messages == {seq: f"no card of {seq}" for seq in range(0, 5_000, 2)}


def test_errors_of_several_expressions_keep_their_own_causes(open_bench: Open) -> None:
    values = {
        "weight": "if(weight % 3 = 0, CAST(label AS INTEGER), weight)",
        "label": "if(weight % 3 = 1, strftime(strptime(label, '%Y'), '%Y'), label)",
    }
    bench = open_bench(sql_parcels(values=values))
    bench.seed(3_000)

    bench.execute()

    causes = bench.questions.errors().select("type, count").fetchall()
    assert sorted(causes) == [("ConversionException", 1_000), ("InvalidInputException", 1_000)]

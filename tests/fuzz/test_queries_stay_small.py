"""Queries that double what they have, again and again: none takes all memory or all time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.errors import BatchflowError
from kit.effort import examples
from kit.things import load, things

MEMORY_LIMIT_BYTES: Final = 128 * 1024**2
# Twice the limit, and what a part takes that has begun; the client in this process has it, too.
MOST_BYTES: Final = 6 * MEMORY_LIMIT_BYTES
TIMEOUT_SECONDS: Final = 2.0
# An interruption waits for the end of a call of a function.
MOST_SECONDS: Final = 20.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux shows it")

IN_PART: Final = re.compile(r"\bx\b")
GROWING = st.sampled_from(
    [
        *("x || x", "concat(x, x, x)", "[x, x]::VARCHAR", "repeat(x, 50)", "to_json([x, x])"),
        *("replace(x, '1', '11111111')", "regexp_replace(x, '.', '\\0\\0\\0\\0', 'g')"),
        *("array_to_string(list_transform(range(90), lambda i: x), x)", "x || hex(x)"),
        *("list_reduce([x, x, x, x, x, x], lambda a, b: a || b)", "upper(x) || lower(x)"),
        *("list_reduce([x, x, x, x, x, x], lambda a, b: a || a)", "format('{}{}{}', x, x, x)"),
        *("array_to_string(string_split(x, ''), '-----')", "(SELECT string_agg(x, x))"),
    ]
)


def nested(parts: list[str]) -> str:
    return reduce(
        lambda inner, part: f"SELECT {part} AS x FROM ({inner})",
        parts,
        "SELECT number::VARCHAR AS x FROM things.runs",
    )


def chained(parts: list[str]) -> str:
    ctes = [
        f"t{place} AS (SELECT {part} AS x FROM t{place - 1})" for place, part in enumerate(parts, 1)
    ]
    first = "t0 AS (SELECT number::VARCHAR AS x FROM things.runs)"
    return f"WITH {', '.join([first, *ctes])} SELECT x FROM t{len(parts)}"


def in_one_list(parts: list[str]) -> str:
    named = [
        f"{IN_PART.sub(f'x{place}', part)} AS x{place + 1}" for place, part in enumerate(parts)
    ]
    return f"SELECT number::VARCHAR AS x0, {', '.join(named)} FROM things.runs"


def repeated(parts: list[str]) -> str:
    last = parts[0]
    return (
        "WITH RECURSIVE t AS (SELECT '1' AS x, 0 AS i UNION ALL "
        f"SELECT {last}, i + 1 FROM t WHERE i < 99) SELECT x FROM t"
    )


def joined(parts: list[str]) -> str:
    ctes = [f"t{place} AS (FROM t{place - 1}, t{place - 1} AS o)" for place in range(1, len(parts))]
    return f"WITH {', '.join(['t0 AS (SELECT 1 AS x)', *ctes])} FROM t{len(parts) - 1}"


def wide(parts: list[str]) -> str:
    # Rows are sent in parts, so a value of a megabyte is the largest for this limit.
    value = nested(parts[:1])
    return f"SELECT (SELECT string_agg(x, '') FROM ({value})), range FROM range(100_000)"


SHAPES: list[Callable[[list[str]], str]] = [nested, chained, in_one_list, repeated, joined, wide]
QUERIES = st.builds(
    lambda shape, parts: shape(parts), st.sampled_from(SHAPES), st.lists(GROWING, min_size=1)
)
ENDS = st.sampled_from(["SELECT max(length(x)) FROM ({})", "SELECT count(*) FROM ({})", "{}"])


class Peak:
    """The memory that this process takes at most within the block, beyond what it had."""

    def __enter__(self) -> Peak:
        self._began = self._most = resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown_bytes(self) -> int:
        return self._most - self._began

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self._most = max(self._most, resident_bytes())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    path = tmp_path_factory.mktemp("queried") / "things.duckdb"
    config = bf.EngineConfig(memory_limit="128MiB", query_timeout_seconds=TIMEOUT_SECONDS)
    with bf.Engine(path, things(), workers=0, config=config) as opened:
        load(opened, 2_000)
        yield opened


@examples(20)
@example(query="SELECT repeat('x', 2_000_000_000)", end="{}")
@example(query=in_one_list(["x || x"] * 24), end="{}")
@example(query=joined(["x"] * 24), end="SELECT count(*) FROM ({})")
@example(query=repeated(["x || x"]), end="SELECT max(length(x)) FROM ({})")
@example(query=wide(["x || x"] * 5), end="{}")
@example(query="SELECT list_reduce(range(99), lambda a, b: [a, a]::VARCHAR::INT)", end="{}")
@given(query=QUERIES, end=ENDS)
def test_no_query_takes_more_memory_and_time_than_it_may(
    engine: bf.Engine, query: str, end: str
) -> None:
    began = time.monotonic()
    with Peak() as peak, bf.connect(engine.path) as client:
        try:
            for batch in client.sql(end.format(query)).to_arrow_reader():
                assert batch.num_rows
        except BatchflowError:
            pass

    assert peak.grown_bytes < MOST_BYTES
    assert time.monotonic() - began < MOST_SECONDS
    assert bf.connect(engine.path).sql("SELECT 1").fetchall() == [(1,)]

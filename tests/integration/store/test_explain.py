"""Explain what chosen runs share, and the rest doesn't."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchflow as bf
from batchflow.store.query.slices import compared, survey
from batchflow.testing import inline_engine
from kit.slices import at_random, failed, orders, planted, random_orders

RUNS = 6_000


@pytest.fixture(scope="module")
def engine() -> Iterator[bf.Engine]:
    """Return an engine with random orders."""
    with bf.Engine(":memory:", orders(), workers=0) as engine:
        loaded = random_orders(RUNS, np.random.default_rng(1))
        engine.trigger_many(loaded, foreign_id="order_id")
        yield engine


def slices(engine: bf.Engine, where: str) -> list[str]:
    return [text for (text,) in engine.explain(where).select("slice").fetchall()]


@pytest.mark.parametrize("seed", [3, 5, 8])
def test_a_planted_cause_of_two_columns_is_the_only_line(engine: bf.Engine, seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = planted(random)

    [found] = slices(engine, failed(f"{first} AND {second}", random))

    columns = {text.split()[0] for text in (first, second)}
    assert {text.split()[0] for text in found.split(" AND ")} == columns
    [(both, either)] = (
        engine.runs()
        .aggregate(
            f"count(*) FILTER (({found}) AND {first} AND {second}), "
            f"count(*) FILTER (({found}) OR ({first} AND {second}))"
        )
        .fetchall()
    )
    assert both > 0.9 * either


@pytest.mark.parametrize("seed", range(3))
def test_a_random_selection_has_no_line(engine: bf.Engine, seed: int) -> None:
    assert slices(engine, at_random(RUNS, np.random.default_rng(seed))) == []


@pytest.fixture
def few_sampled(monkeypatch: pytest.MonkeyPatch) -> int:
    """Lower the number of runs of either side among which slices are searched."""
    monkeypatch.setattr(compared, "MOST_RUNS", 1_000)
    return compared.MOST_RUNS


@pytest.mark.parametrize("rarely", [1, 40])
def test_a_cause_is_found_in_a_sample_and_counted_over_all_runs(
    engine: bf.Engine, few_sampled: int, rarely: int
) -> None:
    """With 40, most of the chosen runs are elsewhere, and there are more of them than sampled."""
    cause = "country = 'BR' AND method = 'card'"
    where = (
        "seq IN (SELECT seq FROM orders.runs "
        f"WHERE hash(seq) % 100 < CASE WHEN {cause} THEN 95 ELSE {rarely} END)"
    )
    assert (len(engine.runs(where)) > few_sampled) == (rarely == 40)

    [line, *_] = engine.explain(where).arrow().to_pylist()

    assert line["slice"] == cause
    assert line["runs"] == len(engine.runs(f"{cause} AND {where}"))
    assert line["runs"] + line["rest"] == len(engine.runs(cause))


def test_few_chosen_runs_are_all_searched(engine: bf.Engine, few_sampled: int) -> None:
    cause = "method = 'cash' AND city = 'city 7'"
    assert 3 <= len(engine.runs(cause)) < RUNS / few_sampled * 4

    assert slices(engine, f"seq IN (SELECT seq FROM orders.runs WHERE {cause})") == [cause]


@pytest.mark.usefixtures("few_sampled")
@pytest.mark.parametrize("chosen", ["seq % 2 = 0", "hash(seq) < 2 ** 63", "hash(seq) % 7 = 0"])
def test_a_random_selection_has_no_line_in_a_sample(engine: bf.Engine, chosen: str) -> None:
    assert slices(engine, chosen) == []


def test_a_line_counts_the_runs_that_its_slice_chooses(engine: bf.Engine) -> None:
    where = failed("country = 'BR' AND method = 'card'", np.random.default_rng(0))
    [line] = engine.explain(where).arrow().to_pylist()

    assert line["slice"] == "country = 'BR' AND method = 'card'"
    chosen, inside = len(engine.runs(where)), len(engine.runs(line["slice"]))
    both = len(engine.runs(line["slice"]).filter(where))
    assert (line["runs"], line["rest"]) == (both, inside - both)
    assert line["share_of_these"] == pytest.approx(both / chosen, abs=1e-6)
    assert line["share_of_rest"] == pytest.approx((inside - both) / (RUNS - chosen), abs=1e-6)
    outside = (chosen - both) / (RUNS - inside)
    assert line["risk_ratio"] == pytest.approx(both / inside / outside, abs=1e-3)
    assert line["explained"] == pytest.approx(1 - outside / (chosen / RUNS), abs=1e-4)


def test_two_causes_are_two_lines(engine: bf.Engine) -> None:
    where = "(city = 'city 7' OR supplier.tier = 2 AND gift)"
    chosen = f"seq IN (SELECT seq FROM orders.runs WHERE {where})"

    assert set(slices(engine, chosen)) == {
        "city = 'city 7'",
        "gift = true AND supplier.tier = 2",
    }


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("weight IS NULL", "weight IS NULL"),
        ("coupon IS NOT NULL AND hash(seq) % 2 = 0", "coupon IS NOT NULL"),
        ("amount >= 100", "amount >= 100"),
        ("items BETWEEN 3 AND 5", "items >= 3 AND items < 6"),
        # Each implies the other, so one of them is enough.
        ("currency = 'BRL'", "country = 'BR'"),
    ],
)
def test_nulls_ranges_and_dependent_columns(engine: bf.Engine, cause: str, expected: str) -> None:
    chosen = f"seq IN (SELECT seq FROM orders.runs WHERE {cause})"

    assert slices(engine, chosen) == [expected]


def test_columns_of_the_predicate_explain_nothing(engine: bf.Engine) -> None:
    assert slices(engine, "items = 3") == []
    assert slices(engine, "country = 'BR'") == ["currency = 'BRL'"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("true", "chooses all of the 6,000 runs of 'orders', so there are no others to compare"),
        ("items = 99", "chooses none of the 6,000 runs of 'orders', so there is nothing to"),
        ("itms = 3", "The predicate 'itms = 3' can't be executed"),
    ],
)
def test_a_selection_without_a_rest_is_refused(engine: bf.Engine, where: str, message: str) -> None:
    with pytest.raises(bf.QueryError, match=message):
        engine.explain(where)


def test_only_runs_of_a_period_are_compared(engine: bf.Engine) -> None:
    with pytest.raises(bf.QueryError, match="There are no runs of 'orders' to compare"):
        engine.explain("items = 3", until=dt.timedelta(days=1))
    assert len(engine.explain("country = 'BR'", since=dt.timedelta(days=1))) == 1


def test_lines_are_drawn(engine: bf.Engine) -> None:
    drawn = engine.explain("country = 'BR'").plot()
    assert "currency" in drawn.svg()
    assert "No data yet" in engine.explain("items = 3").plot().svg()


UNIT = uuid.UUID(int=7)


class Mood(enum.Enum):
    GOOD = 1
    BAD = 2


@dataclass
class Inner:
    order: str
    score: float


@dataclass
class Odd:
    key: str
    select: str
    runs: Inner
    mixed_Case: Mood  # noqa: N815
    when: dt.datetime
    raw: bytes
    tags: list[str]
    number: float
    filled: str = ""
    wait: dt.timedelta = dt.timedelta(days=-400, microseconds=1)
    day: dt.date = dt.date(1, 1, 1)
    moment: Annotated[dt.datetime, bf.UTC] = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    price: Annotated[Decimal, bf.Precision(18, 2)] = Decimal("-1.25")
    flag: bool = True
    ratio: float = float("nan")
    mood: Mood = Mood.GOOD
    code: bytes = b"\x00'\xff"
    unit: uuid.UUID = UNIT
    value: str = "x"
    chosen: bool = False
    attempts: int = 0
    path: str = ""
    tries: list[int] = field(default_factory=list)


def odd() -> bf.Workflow[Odd, Mood]:
    workflow = bf.Workflow("odd", Odd, Mood)

    @workflow.step(Mood.GOOD, to=[Mood.BAD])
    def fill(run: bf.Run[Odd, Mood]) -> Mood:
        number = int(run.object.key[1:])
        if number % 7 == 0 and "it's" in run.object.select:
            raise ValueError("odd")
        run.object.filled, run.object.tries = str(number), [number]
        return Mood.BAD

    return workflow


def odd_object(number: int) -> Odd:
    return Odd(
        key=f"k{number}",
        select=["it's", 'a "b"', "", "\N{SNOWMAN}"][number % 4],
        runs=Inner(str(number % 3), float("nan") if number % 5 == 0 else number),
        mixed_Case=Mood(1 + number % 2),
        when=dt.datetime.fromisoformat("2026-01-01") + dt.timedelta(minutes=number),
        raw=bytes([number % 13, 39]),
        tags=["x"] * (number % 6),
        number=float("inf") if number % 11 == 0 else -number,
    )


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("\"select\" = 'it''s'", ["\"select\" = 'it''s'"]),
        ("\"select\" = ''", ["\"select\" = ''"]),
        ("isnan(struct_extract(\"runs\", 'score'))", ["isnan(struct_extract(\"runs\", 'score'))"]),
        ("mixed_Case = 'BAD'", ["mixed_Case = 'BAD'"]),
        ("raw = '\\x02'''::BLOB", ["raw = '\\x02\\x27'"]),
        ("len(tags) > 3", ["len(tags) >= 4"]),
        ("number = 'inf'", ["number = 'inf'::DOUBLE"]),
        (
            "\"when\" BETWEEN '2026-01-01 10:00' AND '2026-01-01 11:59'",
            [
                (
                    "\"when\" >= TIMESTAMP '2026-01-01 10:00:00' "
                    "AND \"when\" < TIMESTAMP '2026-01-01 12:00:00'"
                ),
            ],
        ),
    ],
)
def test_slices_of_odd_names_and_values_are_predicates(
    odd_engine: bf.Engine, cause: str, expected: list[str]
) -> None:
    found = slices(odd_engine, f"seq IN (SELECT seq FROM odd.runs WHERE {cause})")

    assert found == expected
    assert len(odd_engine.runs(found[0])) == len(odd_engine.runs(cause))


@pytest.mark.usefixtures("few_sampled")
@pytest.mark.parametrize("blocks", ["true", "seq < 10"])
def test_texts_that_steps_fill_are_found_in_some_blocks_or_in_all(
    monkeypatch: pytest.MonkeyPatch, blocks: str
) -> None:
    """With few blocks, some lack a status."""
    monkeypatch.setattr(compared, "_IN_BLOCKS", blocks)
    monkeypatch.setattr(survey, "_ENOUGH_RUNS", 50)
    with bf.Engine(":memory:", bills(filled=True), workers=0) as engine:
        kind = "CASE WHEN i % 5 = 0 THEN 'bad' ELSE 'good' END AS kind"
        number = "(hash(i) % 1_000)::BIGINT AS number"
        source = f"SELECT 'b' || i AS key, {number}, {kind} FROM range(9_000) t(i)"
        engine.trigger_many(source, foreign_id="key")
        engine.run(progress=False)
        found = slices(engine, "run_state = 'PAUSED'")
    assert "kind = 'bad'" in found[0]
    assert not [each for each in found for name in ("total", "note", "rebate") if name in each]


def test_fields_that_steps_fill_and_attempts_explain_no_failure(odd_engine: bf.Engine) -> None:
    odd_engine.run(progress=False)

    paused = odd_engine.explain("attempt > 1").select("slice").fetchall()

    assert paused == [("\"select\" = 'it''s'",)]


@dataclass
class Bill:
    key: str
    number: int
    kind: str
    total: float = 0.0
    note: str = ""
    rebate: float = 0.0


def bills(*, filled: bool) -> bf.Workflow[Bill, Mood]:
    workflow = bf.Workflow("bills", Bill, Mood, retry=bf.Retry(pause_after=1))

    @workflow.step(Mood.GOOD, to=[Mood.BAD])
    def add(run: bf.Run[Bill, Mood]) -> Mood:
        bill = run.object
        if bill.kind == "bad" and (bill.number % 3 if filled else bill.total == 0):
            raise ValueError("no total")
        if filled:
            bill.total, bill.note = float(bill.number), "added"
            bill.rebate = float(bill.number % 2)
        return Mood.BAD

    return workflow


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        ("", {"kind"}),
        (", i % 10 AS total", {"kind", "total"}),
        (", i % 3 AS total", {"kind", "total"}),
    ],
)
def test_a_field_that_steps_fill_with_its_default_too_hides_no_cause(
    loaded: str, expected: set[str]
) -> None:
    kind = "CASE WHEN i % 11 = 0 THEN 'bad' ELSE 'good' END AS kind"
    with bf.Engine(":memory:", bills(filled=not loaded), workers=0) as engine:
        source = f"SELECT 'b' || i AS key, i % 13 AS number, {kind}{loaded} FROM range(3_000) t(i)"
        engine.trigger_many(source, foreign_id="key")
        engine.run(progress=False)
        [found] = slices(engine, "run_state = 'PAUSED'")

    assert {name for name in ("kind", "total") if name in found} == expected


@pytest.fixture(scope="module")
def odd_engine() -> Iterator[bf.Engine]:
    """Return an engine with objects of odd names and values."""
    with bf.Engine(":memory:", odd(), workers=0) as engine:
        engine.trigger_many(map(odd_object, range(2_000)), foreign_id="key")
        yield engine


def test_more_columns_than_one_query_reads_are_compared() -> None:
    names = [f"f{at}" for at in range(60)]
    wide: type[Any] = make_dataclass("Wide", [(name, str) for name in names])
    workflow: bf.Workflow[Any, Mood] = bf.Workflow("wide", wide, Mood)
    workflow.sql_step(Mood.GOOD, to=[Mood.BAD], set={}, status=Mood.BAD)
    columns = ", ".join(f"(hash(i + {at}) % 3)::VARCHAR AS {name}" for at, name in enumerate(names))
    with bf.Engine(":memory:", workflow, workers=0) as engine:
        source = f"SELECT 'r' || i AS key, {columns} FROM range(400) AS t(i)"
        engine.trigger_many(source, foreign_id="key")

        where = "seq IN (SELECT seq FROM wide.runs WHERE f1 = '2' AND f59 = '1')"

        assert slices(engine, where) == ["f1 = '2' AND f59 = '1'"]


class Hands(enum.Enum):
    FREE = 1
    DONE = 2


@dataclass
class Piece:
    name: str
    marker: str


def handled() -> bf.Workflow[Piece, Hands]:
    workflow = bf.Workflow("pieces", Piece, Hands, chunk_rows=50)
    workflow.add_step(Hands.FREE, handle, Hands.DONE, retry=bf.Retry(pause_after=1))
    return workflow


def handle(run: bf.Run[Piece, Hands]) -> Hands:
    """Fail in the process that came first, once another has come as well."""
    first = Path(run.object.marker)
    other = first.with_name("other")
    with contextlib.suppress(FileExistsError), first.open("x") as file:
        file.write(str(os.getpid()))
    if first.read_text() != str(os.getpid()):
        other.touch()
        time.sleep(1e-4)
        return Hands.DONE
    while not other.exists():
        time.sleep(1e-3)
    raise RuntimeError("this process has the wrong library")


def test_a_worker_is_named_if_its_runs_fail(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "pieces.duckdb", handled(), workers=2) as engine:
        pieces = [Piece(f"p{at}", str(tmp_path / "first")) for at in range(2_000)]
        engine.trigger_many(pieces, foreign_id="name")
        engine.run(progress=False)

        [found] = slices(engine, "run_state = 'PAUSED'")

        worker = (tmp_path / "first").read_text()
        assert found.startswith("EXISTS (FROM batchflow.chunks WHERE workflow = 'pieces' AND ")
        assert f":{worker}'" in found
        assert len(engine.runs(found)) == len(engine.runs("run_state = 'PAUSED'"))


def test_runs_without_a_file_are_a_slice(tmp_path: Path) -> None:
    with bf.Engine(":memory:", orders(), workers=0) as engine:
        rows = random_orders(300, np.random.default_rng(1))
        pq.write_table(rows, tmp_path / "some.parquet")
        engine.trigger_many(tmp_path / "some.parquet", foreign_id="order_id")
        others = random_orders(300, np.random.default_rng(2)).to_pylist()
        names = [f"x{at}" for at in range(300)]
        more = [{**row, "order_id": name} for row, name in zip(others, names, strict=True)]
        engine.trigger_many(pa.Table.from_pylist(more, rows.schema), foreign_id="order_id")

        [found] = slices(engine, "foreign_id LIKE 'x%' AND hash(seq) % 2 = 0")

        assert found.startswith("NOT EXISTS (FROM batchflow.loads ")
        assert len(engine.runs(found)) == 300


def test_a_file_is_named_if_its_runs_fail(tmp_path: Path) -> None:
    with bf.Engine(":memory:", orders(), workers=0) as engine:
        for number, name in enumerate(["good", "bad", "late"]):
            rows = random_orders(500, np.random.default_rng(number))
            ids = pa.array([f"{name} {at}" for at in range(500)])
            rows = rows.set_column(0, "order_id", ids)
            path = tmp_path / f"{name}'s.parquet"
            pq.write_table(rows, path)
            engine.trigger_many(path, foreign_id="order_id")
        where = "seq BETWEEN 501 AND 1000 AND hash(seq) % 3 > 0"

        [found, *_] = slices(engine, where)

        assert "bad''s.parquet" in found
        assert len(engine.runs(found)) == 500


def test_runs_that_differ_by_their_id_alone_have_no_line() -> None:
    with inline_engine(handled()) as engine:
        engine.trigger_many([Piece(f"p{at}", f"m{at}") for at in range(300)], foreign_id="name")

        when = "created_at IS NOT NULL AND updated_at IS NOT NULL AND attempt = 1"

        assert slices(engine, f"{when} AND seq <= 150") == []


class Size(enum.Enum):
    UNKNOWN = 0
    BIG = 1
    SMALL = 2


@dataclass
class Parcel:
    weight: int


def test_attempts_are_no_line_if_a_field_separates_all_of_the_runs() -> None:
    def weigh(run: bf.Run[Parcel, Size]) -> Size:
        if run.object.weight % 20 == 0:
            raise ValueError("no scale")
        return Size.BIG if run.object.weight >= 9_000 else Size.SMALL

    parcels = bf.Workflow("parcels", Parcel, Size, retry=bf.Retry(backoff_seconds=0, pause_after=3))
    parcels.add_step(Size.UNKNOWN, weigh, Size.BIG, Size.SMALL)
    with inline_engine(parcels) as engine:
        # No big one fails, and some small ones do.
        weights = [weight for weight in range(10_000) if weight < 9_000 or weight % 20]
        engine.trigger_many([Parcel(weight) for weight in weights], foreign_id="weight")
        engine.run(wait_for_retries=True, progress=False)
        found = slices(engine, "status = 'BIG'")

    assert [text.split()[0] for text in found] == ["weight"]

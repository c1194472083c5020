"""The queries about how runs move: the meaning of each number."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from store_kit import LATER, NOW, Bench, Status, failed, fetched, moved, parcels

import batchflow as bf
from batchflow.definition.outcome import Outcome
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.store import StepCommit
from batchflow.store.database.staging import STAGED, staged
from batchflow.testing import FakeClock, inline_engine
from kit.things import Stage, Thing, load, things


def after(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def claimed(bench: Bench, status: Status) -> pa.Table:
    code = bench.workflow.code_of(status)
    return bench.store.claim(bench.workflow, code, 0, 1 << 40, LATER, ())


def at(bench: Bench, status: Status, commit: StepCommit) -> StepCommit:
    return replace(commit, step=bench.step(status))


def advance(bench: Bench, status: Status, to: Status | list[Status], seconds: float) -> None:
    commit = at(bench, status, moved(bench, claimed(bench, status), to))
    bench.commit(commit, now=after(seconds))


def repeat(bench: Bench, status: Status, seconds: float) -> None:
    commit = at(bench, status, moved(bench, claimed(bench, status), status))
    place = commit.moved.schema.get_field_index("#outcome")
    outcomes = pa.array([Outcome.REPEATED] * commit.moved.num_rows, pa.uint8())
    bench.commit(
        replace(commit, moved=commit.moved.set_column(place, "#outcome", outcomes)),
        now=after(seconds),
    )


@pytest.fixture
def moving(file_bench: Bench) -> Bench:
    """Four runs: one is refused, one stays at CHECKED, two are done after 30 s and more there."""
    file_bench.seed(4)
    there = [Status.CHECKED, Status.CHECKED, Status.REFUSED, Status.CHECKED]
    advance(file_bench, Status.NEW, there, 10)
    repeat(file_bench, Status.CHECKED, 20)
    file_bench.at(after(50)).pause("seq = 3", reason="why")
    advance(file_bench, Status.CHECKED, Status.DONE, 70)
    return file_bench


def test_transitions_are_counted_by_where_from_where_to_and_outcome(moving: Bench) -> None:
    relation = moving.questions.transitions()

    assert relation.columns == ["from_status", "to_status", "outcome", "runs"]
    assert relation.fetchall() == [
        ("NEW", "CHECKED", "advanced", 3),
        ("NEW", "REFUSED", "advanced", 1),
        ("CHECKED", "CHECKED", "repeated", 3),
        ("CHECKED", "CHECKED", "paused", 1),
        ("CHECKED", "DONE", "advanced", 2),
    ]


def test_throughput_is_counted_by_bucket_and_status(moving: Bench) -> None:
    relation = moving.questions.throughput(30.0)

    assert relation.columns == ["bucket", "status", "runs", "failed", "runs_per_second"]
    assert fetched(relation) == [
        (NOW, "NEW", 4, 0, 4 / 30),
        (NOW, "CHECKED", 3, 0, 3 / 30),
        (after(60), "CHECKED", 2, 0, 2 / 30),
    ]


def test_failures_are_part_of_the_throughput_and_counted_by_themselves() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.number < 3:
            raise ValueError("not this one")
        return Stage.DONE

    with inline_engine(things(step)) as engine:
        load(engine, 10)
        engine.run(wait_for_retries=False)
        counted = engine.throughput(60.0).select("sum(runs)", "sum(failed)").fetchall()
    assert counted == [(10, 3)]


def test_pauses_and_cancellations_are_part_of_the_throughput_where_a_step_made_them() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Any:
        if run.object.number < 3:
            return run.pause("a person looks at it")
        return run.cancel("no stock") if run.object.number == 3 else Stage.DONE

    clock = FakeClock()
    with inline_engine(things(step), clock=clock) as engine:
        load(engine, 10)
        engine.pause("number IN (8, 9)")
        engine.cancel("number = 9")
        clock.advance(1)
        engine.run()
        counted = engine.throughput(60.0).select("sum(runs)").fetchall()
    assert counted == [(8,)]


def test_buckets_may_be_shorter_than_a_second(moving: Bench) -> None:
    buckets = moving.questions.throughput(0.5)

    assert fetched(buckets.select("bucket"))[-1] == (after(70),)
    assert fetched(buckets.select("runs_per_second"))[-1] == (4.0,)


@pytest.mark.parametrize("seconds", [0.0, -1, float("nan"), float("inf"), 1e-9, 1e300, "60"])
def test_buckets_without_a_length_are_refused(bench: Bench, seconds: Any) -> None:
    with pytest.raises(InvalidOptionError, match="above 0"):
        bench.questions.throughput(seconds)


def test_a_stay_lasts_from_arrival_to_departure_whatever_happens_between(moving: Bench) -> None:
    relation = moving.questions.durations()
    names = "status runs p50_seconds p95_seconds p99_seconds max_seconds"

    assert relation.columns == names.split()
    assert relation.fetchall() == [
        ("NEW", 4, 10.0, 10.0, 10.0, 10.0),
        ("CHECKED", 2, 60.0, 60.0, 60.0, 60.0),
    ]


def test_a_failure_does_not_end_a_stay(bench: Bench) -> None:
    bench.seed(1)
    bench.commit(failed(bench, claimed(bench, Status.NEW)), now=after(5))
    advance(bench, Status.NEW, Status.REFUSED, 100)

    assert bench.questions.durations().select("runs, max_seconds").fetchall() == [(1, 100.0)]


def test_each_stay_of_a_run_that_comes_back_is_one(bench: Bench) -> None:
    bench.seed(1)
    advance(bench, Status.NEW, Status.CHECKED, 1)
    advance(bench, Status.CHECKED, Status.CHECKED, 3)
    advance(bench, Status.CHECKED, Status.DONE, 10)

    stays = bench.questions.durations().filter("status = 'CHECKED'")
    assert stays.select("runs, max_seconds").fetchall() == [(2, 7.0)]


def test_percentiles_separate_the_slow_runs_from_the_rest(bench: Bench) -> None:
    bench.seed(1000, created_at=f"TIMESTAMPTZ '{NOW}' - to_seconds(range)")
    advance(bench, Status.NEW, Status.CHECKED, 0)

    [(p50, p95, p99, most)] = bench.questions.durations().select("columns('.*_seconds')").fetchall()
    assert most == 999.0
    assert p50 == pytest.approx(500, abs=20)
    assert p95 == pytest.approx(950, abs=20)
    assert p99 == pytest.approx(990, abs=20)


PATHS = {
    "straight on": [
        [Status.NEW, Status.CHECKED, Status.DONE],
        [Status.NEW, Status.REFUSED],
        [Status.NEW],
        [Status.CHECKED, Status.DONE],
    ],
    "back": [
        [Status.NEW, Status.CHECKED, Status.NEW],
        [Status.NEW, Status.CHECKED, Status.NEW, Status.CHECKED, Status.DONE],
        [Status.CHECKED, Status.DONE, Status.NEW, Status.CHECKED],
    ],
    "to itself": [
        [Status.NEW, Status.NEW],
        [Status.NEW, Status.CHECKED, Status.CHECKED, Status.CHECKED, Status.DONE],
    ],
}
PATHS["mostly straight on"] = 50 * PATHS["straight on"] + PATHS["back"] + PATHS["to itself"]
RUNS = 600


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("moments", [1, 3, 1_000_000])
def test_stays_and_funnels_are_those_of_each_run_by_itself(
    bench: Bench, kind: str, moments: int
) -> None:
    random = np.random.default_rng(moments)
    stays: dict[str, list[int]] = {}
    here: dict[str, set[int]] = {status.name: set() for status in Status}
    left: dict[str, set[int]] = {status.name: set() for status in Status}
    last: list[str] = []
    rows: list[tuple[Any, ...]] = []
    for seq in range(RUNS):
        path = PATHS[kind][random.integers(len(PATHS[kind]))]
        # A visit commits several transitions at once, and clocks are set back.
        times = [0, *np.sort(random.integers(-1, moments, len(path) - 1)).tolist()]
        hops = zip(itertools.pairwise(path), itertools.pairwise(times), strict=True)
        version = 1
        for (status, to), (came, gone) in hops:
            if random.random() < 0.2:
                version += 1
                rows.append((seq, status.name, status.name, "failed", version, gone))
            version += 1
            rows.append((seq, status.name, to.name, "advanced", version, gone))
            stays.setdefault(status.name, []).append(gone - came)
            if status is not to:
                left[status.name].add(seq)
        here[path[-1].name].add(seq)
        last.append(path[-1].name)
    bench.seed(RUNS, status=f"{last}[range + 1]")
    names = ["seq", "from_status", "to_status", "outcome", "version", "gone"]
    log = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    with bench.store.connection.write() as cursor, staged(cursor, log):
        cursor.execute(
            f"INSERT INTO parcels.transitions_without_reason ({', '.join(names[:-1])}, "
            f"committed_at) SELECT * REPLACE (TIMESTAMPTZ '{NOW}' + to_seconds(gone) AS gone) "
            f"FROM {STAGED}"
        )

    found = {row[0]: row[1:] for row in bench.questions.durations().fetchall()}
    assert found.keys() == stays.keys()
    for status, lengths in stays.items():
        runs, *percentiles, longest = found[status]
        assert (runs, longest) == (len(lengths), max(lengths))
        exact = np.quantile(lengths, [0.5, 0.95, 0.99], method="inverted_cdf")
        assert percentiles == pytest.approx(exact, rel=1e-4)
    assert bench.questions.funnel().fetchall() == [
        (status, len(here[status] | left[status]), len(here[status]), len(left[status]))
        for status in here
    ]


def test_a_funnel_has_each_status_in_the_order_of_definition(moving: Bench) -> None:
    relation = moving.questions.funnel()

    assert relation.columns == ["status", "reached", "here", "left"]
    assert relation.fetchall() == [
        ("NEW", 4, 0, 4),
        ("CHECKED", 3, 1, 2),
        ("REFUSED", 1, 1, 0),
        ("DONE", 2, 2, 0),
    ]


def test_a_run_that_came_back_is_counted_once_as_having_been_there(
    open_bench: Callable[..., Bench],
) -> None:
    workflow = parcels("circle")
    workflow.add_step(Status.DONE, lambda run: None, Status.CHECKED)
    bench = open_bench(workflow)
    bench.seed(1, status="'CHECKED'")
    advance(bench, Status.CHECKED, Status.DONE, 1)
    advance(bench, Status.DONE, Status.CHECKED, 2)

    assert bench.questions.funnel().fetchall() == [
        ("NEW", 0, 0, 0),
        ("CHECKED", 1, 1, 1),
        ("REFUSED", 0, 0, 0),
        ("DONE", 1, 0, 1),
    ]


def test_an_empty_workflow_has_a_funnel_of_zeros(bench: Bench) -> None:
    assert bench.questions.funnel().select("reached, here").fetchall() == [(0, 0)] * 4


def test_ages_name_the_oldest_unfinished_run_at_each_status(moving: Bench) -> None:
    moving.seed(1, seq="9", updated_at=f"TIMESTAMPTZ '{after(80)}'")
    relation = moving.questions.ages()

    assert relation.columns == ["status", "runs", "oldest", "age_seconds", "run_id"]
    assert fetched(relation.select("status, runs, oldest, run_id")) == [
        ("NEW", 1, after(80), moving.run_id(9)),
        ("CHECKED", 1, after(50), moving.run_id(3)),
    ]
    unequal = "abs(age_seconds - (epoch(now()) - epoch(oldest))) > 0.001"
    assert relation.filter(unequal).fetchall() == []


def test_finished_runs_have_no_age(bench: Bench) -> None:
    bench.seed(2, status="'DONE'", run_state="['COMPLETED', 'CANCELLED'][range + 1]")

    assert bench.questions.ages().fetchall() == []


@pytest.mark.parametrize("question", ["throughput", "durations", "transitions", "funnel"])
def test_what_is_counted_from_transitions_needs_them(
    open_bench: Callable[..., Bench], question: str
) -> None:
    bench = open_bench(parcels(record_transitions=False))

    with pytest.raises(QueryError, match=r"'parcels'.*record_transitions=False"):
        getattr(bench.questions, question)().fetchall()
    assert bench.questions.ages().fetchall() == []


def test_a_store_is_asked_without_its_definition_too(moving: Bench) -> None:
    wanted = [getattr(moving.questions, name)().fetchall() for name in ("funnel", "durations")]
    moving.store.close()

    with bf.connect(moving.store.path) as reader:
        assert [reader.funnel().fetchall(), reader.durations().fetchall()] == wanted

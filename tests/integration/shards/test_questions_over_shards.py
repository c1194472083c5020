"""A set answers each question as one store with the same runs does, in any number of shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from shards_kit import (
    Order,
    engine_of,
    in_each,
    orders,
    pattern_in,
    play_a_night,
    write_source,
)

import batchflow as bf
from batchflow.testing import FakeClock

# Of failures at the same time, any can be the sample of a cause.
SAMPLES = "* EXCLUDE (run_id, message)"


def of_reports(stores: bf.Stores) -> Any:
    checked = stores.check()
    rows = {each.table: each.rows for each in checked.tables if "orders" in each.table}
    return checked.ok, checked.problems, rows


QUESTIONS: dict[str, Callable[[bf.Stores], Any]] = {
    "runs": lambda s: s.runs().order("seq"),
    "runs by a predicate": lambda s: s.runs("number < ?", [10]).order("seq"),
    "narrowed runs": lambda s: s.runs().filter("number > $n", {"n": 5}).select("number").order("1"),
    "counts": lambda s: s.counts(),
    "counts at a moment": lambda s: s.counts(as_of=MOMENT),
    "diff": lambda s: s.diff(MOMENT).select("* EXCLUDE samples"),
    "rejected": lambda s: s.rejected().select("* EXCLUDE load_id"),
    # Which part of a file the log takes differs.
    "costs": lambda s: s.costs().select("* EXCLUDE bytes"),
    "throughput": lambda s: s.throughput(),
    "throughput by seconds": lambda s: s.throughput(0.5),
    "durations": lambda s: s.durations(),
    "durations of a period": lambda s: s.durations(until=MOMENT),
    "transitions": lambda s: s.transitions(),
    "funnel": lambda s: s.funnel(),
    "ages": lambda s: s.ages().select("* EXCLUDE (age_seconds, run_id)"),
    "errors": lambda s: s.errors().select(SAMPLES),
    "errors by columns": lambda s: s.errors(by=["number", "step"]).select(SAMPLES).order("ALL"),
    "errors of some runs": lambda s: s.errors(where="number < 20").select(SAMPLES),
    "runs of errors": lambda s: s.errors().runs().order("seq"),
    "affected runs": lambda s: s.errors().runs(affected=True).order("seq"),
    "narrowed errors": lambda s: (
        s.errors(by="number").filter("number IN (7, 14)").all().order("ALL")
    ),
    "history": lambda s: s.history(7),
    "get": lambda s: s.get(7).object.total,
    "find": lambda s: s.find("3").run_id,
    "wait": lambda s: s.wait(1, timeout_seconds=5).status.name,
    "sql": lambda s: s.sql(
        each="SELECT status, count(*) AS n FROM orders.runs GROUP BY status",
        then="SELECT status, sum(n)::BIGINT * 100 / (SELECT sum(n)::BIGINT FROM shards) AS percent "
        "FROM shards GROUP BY status ORDER BY status",
    ),
    "check": of_reports,
}
# Only a set is asked one question of each shard, and another of their answers.
OF_SETS = ("sql",)
OF_ANY_STORE = [name for name in QUESTIONS if name not in OF_SETS]
EPOCH = FakeClock().now()
MOMENT = EPOCH + timedelta(seconds=150)


def answers(store: Any, *names: str) -> dict[str, Any]:
    found = {}
    for name in names:
        answer = QUESTIONS[name](store)
        is_relation = isinstance(answer, bf.Relation)
        found[name] = answer.to_arrow_table().to_pydict() if is_relation else answer
    return found


@contextmanager
def engines_of_all(folder: Path, stores: bf.Stores) -> Iterator[None]:
    """Open engines, through whose sockets questions are answered faster than from files."""
    with ExitStack() as opened:
        for shard in range(1, stores.shards + 1):
            opened.enter_context(engine_of(folder, shard, stores.shards))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a set of one shard."""
    made = tmp_path_factory.mktemp("night")
    clock = FakeClock()
    with engine_of(made, 1, 1, clock=clock) as engine:
        play_a_night(engine, clock, write_source(made))
    return made


@pytest.fixture(scope="module")
def stores(folder: Path) -> Iterator[bf.Stores]:
    with bf.Stores(pattern_in(folder)) as opened:
        yield opened


def test_all_questions_have_the_same_answers_in_any_number_of_shards(
    folder: Path, stores: bf.Stores
) -> None:
    with engines_of_all(folder, stores):
        expected = answers(bf.connect(folder / "night-1.duckdb"), *OF_ANY_STORE)
        expected |= answers(stores, *OF_SETS)
        assert answers(stores, "counts", "errors").items() <= expected.items()
    stores.reshard(2)
    with engines_of_all(folder, stores):
        found = answers(stores, *QUESTIONS)

    for name, answer in expected.items():
        assert found[name] == answer, name
    assert sorted(path.name for path in folder.glob("night*")) == [
        *(f"night-{number}.duckdb" for number in (1, 2))
    ]


def test_a_relation_over_shards_has_the_types_of_one_store(folder: Path, stores: bf.Stores) -> None:
    with bf.connect(folder / "night-1.duckdb") as client:
        for ask in (bf.StoreClient.runs, bf.StoreClient.counts, bf.StoreClient.durations):
            merged, alone = getattr(stores, ask.__name__)(), ask(client)
            assert (merged.columns, merged.types) == (alone.columns, alone.types)
    with pytest.raises(bf.QueryError, match="'DOEN'"):
        stores.runs("status = 'DOEN'")
    with pytest.raises(bf.QueryError, match="'DOEN'"):
        stores.runs().filter("status = 'DOEN'")


def test_a_limit_leaves_the_other_shards_closed(folder: Path, stores: bf.Stores) -> None:
    assert len(stores.runs().limit(3).fetchall()) == 3
    reader = stores.runs().to_arrow_reader(batch_rows=10)
    next(iter(reader))
    del reader
    # Nothing is held any more, so an engine can open each shard.
    assert (
        in_each(folder, lambda engine: engine.workflows, stores.shards)
        == [("orders",)] * stores.shards
    )


def test_shards_are_reached_through_engines_and_by_their_files_at_the_same_time(
    folder: Path, stores: bf.Stores
) -> None:
    if stores.shards == 1:
        stores.reshard(2)
    closed = stores.counts().fetchall(), stores.durations().fetchall(), stores.get(7)
    with engine_of(folder, 1, stores.shards):
        assert [client.served for client in stores.clients] == [True, False]
        open_ = stores.counts().fetchall(), stores.durations().fetchall(), stores.get(7)
    assert open_ == closed
    assert stores.progress() is None


def test_metrics_have_the_number_of_the_shard(stores: bf.Stores) -> None:
    lines = [line for line in stores.metrics().splitlines() if line.startswith("batchflow_runs{")]
    assert {line.partition('shard="')[2][0] for line in lines} == {
        str(number) for number in range(1, stores.shards + 1)
    }


@pytest.mark.parametrize("given", ["night-{shard}.duckdb", "night-*.duckdb", "."])
def test_a_set_is_named_by_a_pattern_a_glob_or_a_folder(
    given: str, folder: Path, stores: bf.Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert bf.Stores(given).shards == stores.shards


def test_what_is_no_set_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(bf.StoreFormatError, match="There are no shards at"):
        bf.Stores(tmp_path)
    with bf.Stores(pattern_in(tmp_path), orders(), shards=2) as stores:
        assert stores.workflows == ("orders",)
    with pytest.raises(bf.StoreFormatError, match="has 2 shards, not 4"):
        bf.Stores(pattern_in(tmp_path), shards=4)
    with pytest.raises(bf.StoreFormatError, match="is one path; give the pattern"):
        bf.Stores(tmp_path / "night-1.duckdb")
    with pytest.raises(bf.InvalidOptionError, match="has to have"):
        bf.Stores(tmp_path, shards=2)

    other = bf.Stores(tmp_path / "other-{shard}.duckdb", orders(), shards=2)
    with pytest.raises(bf.StoreFormatError, match="are of different sets"):
        bf.Stores(tmp_path)
    Path(other.clients[0].path).unlink()
    with pytest.raises(bf.StoreFormatError, match=r"has 2 shards, .* are missing: 1"):
        bf.Stores(tmp_path / "other-{shard}.duckdb")
    with pytest.raises(bf.StoreFormatError, match=r"no store at '.*other-1.duckdb'"):
        other.counts().fetchall()

    with bf.Engine(tmp_path / "alone.duckdb", orders(), workers=0):
        pass
    with pytest.raises(bf.StoreFormatError, match="is a store by itself and no shard"):
        bf.Stores(tmp_path / "a*.duckdb")


def test_a_shard_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with bf.Stores(pattern_in(tmp_path), orders(), shards=2) as stores:
        unreachable = bf.EngineConfig(serve=False)
        with (
            engine_of(tmp_path, 2, config=unreachable),
            pytest.raises(bf.StoreHeldError, match=r"night-2\.duckdb"),
        ):
            stores.counts().fetchall()


def test_a_query_of_all_shards_has_one_form(stores: bf.Stores) -> None:
    assert sum(n for (n,) in stores.sql("SELECT count(*) FROM orders.runs").fetchall()) == 118
    for given in ({}, {"query": "SELECT 1", "each": "SELECT 1"}):
        with pytest.raises(bf.InvalidOptionError, match="query of each shard once"):
            stores.sql(**given)
    with pytest.raises(bf.InvalidOptionError, match=r"explain\(\) searches one store"):
        stores.explain("run_state = 'PAUSED'")
    with pytest.raises(bf.RunNotFoundError, match="'nothing'"):
        stores.get("nothing")


def test_engines_on_a_network_are_shards_of_a_set(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    authority.cert_pem.write_to_path(tmp_path / "root.pem")
    token = "a token that is hard to guess"
    listen = bf.Listen(
        certificate=tmp_path / "certificate.pem", key=tmp_path / "key.pem", token=token
    )
    local = bf.Stores(pattern_in(tmp_path), orders(), shards=2)
    local.trigger_many("SELECT range AS number FROM range(20)", foreign_id="number")
    with engine_of(tmp_path, 1, 2, config=bf.EngineConfig(listen=listen)) as engine:
        address = f"grpc+tls://localhost:{engine.ports[0]}"
        given = [tmp_path / "night-2.duckdb", address]
        stores = bf.Stores(given, token=token, certificate=tmp_path / "root.pem")
        assert [client.served for client in stores.clients] == [True, False]
        assert stores.counts().fetchall() == local.counts().fetchall()
        assert stores.cancel("true").changed == 20
        with pytest.raises(bf.InvalidOptionError, match="no common name"):
            stores.reshard(3)


def test_a_cause_is_reproduced_whichever_shard_has_its_runs(tmp_path: Path) -> None:
    def fail(engine: bf.Engine, foreign_id: str) -> str:
        engine.trigger(foreign_id, Order(7))
        engine.run(progress=False)
        [(cause,)] = engine.errors().select("cause").fetchall()
        return str(cause)

    with bf.Engine(":memory:", orders(), workers=0) as engine:
        other = 3 - bf.shard_of(fail(engine, "any"), 2)
    with engine_of(tmp_path, other) as engine:
        cause = fail(engine, next(n for n in map(str, range(99)) if bf.shard_of(n, 2) == other))

    stores = bf.Stores(pattern_in(tmp_path))
    assert stores.repro(cause, tmp_path / "repro", workflow=orders()).is_file()
    with pytest.raises(bf.RunNotFoundError, match="nor a cause"):
        stores.repro("nope", tmp_path / "other", workflow=orders())

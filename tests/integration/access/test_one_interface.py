"""One interface, three ways to reach a store: its engine here, its engine elsewhere, its file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from remote_kit import Stage, Thing, things

import batchflow as bf
from batchflow.access.file_store import FileStore
from batchflow.access.reached import ReachedStore
from batchflow.access.remote_store import RemoteStore
from batchflow.errors import BatchflowError
from batchflow.export.exports import Exports
from batchflow.operation import Operations
from batchflow.operation.request import request_types
from batchflow.store.query.questions import Questions

Store: TypeAlias = "bf.Engine | bf.StoreClient"
WAYS = ("engine", "engine elsewhere", "closed file")


def public_methods(interface: type) -> list[str]:
    return [
        name
        for name, member in vars(interface).items()
        if not name.startswith("_") and callable(member)
    ]


METHODS = [
    (each, name) for each in (Operations, Questions, Exports) for name in public_methods(each)
]


@contextmanager
def reached(way: str, folder: Path) -> Iterator[Store]:
    """Open a store with three runs in one of the ways."""
    path = folder / f"{way}.duckdb"
    with bf.Engine(path, things(), workers=0) as engine:
        for number in range(3):
            engine.trigger(f"t{number}", Thing(number))
        if way == "closed file":
            engine.close()
        yield engine if way == "engine" else bf.connect(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    """Open a store in each of the ways, for calls that depend on no state of its runs."""
    folder = tmp_path_factory.mktemp("stores")
    with ExitStack() as opened:
        yield {way: opened.enter_context(reached(way, folder)) for way in WAYS}


@pytest.mark.parametrize(("interface", "name"), METHODS)
def test_a_method_has_one_signature_wherever_the_store_is(interface: type, name: str) -> None:
    expected = inspect.signature(getattr(interface, name))
    for implementation in (bf.Engine, bf.StoreClient):
        assert issubclass(implementation, interface)
        assert inspect.signature(getattr(implementation, name)) == expected


@pytest.mark.parametrize("name", public_methods(ReachedStore))
def test_a_call_has_one_signature_for_an_engine_elsewhere_and_a_file(name: str) -> None:
    expected = inspect.signature(getattr(ReachedStore, name)).parameters
    for implementation in (RemoteStore, FileStore):
        assert inspect.signature(getattr(implementation, name)).parameters == expected


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "trigger": lambda store: store.trigger("new", Thing(7)),
    "trigger_many": lambda store: store.trigger_many([Thing(8), Thing(9)], foreign_id="number"),
    "pause": lambda store: store.pause("number = 0", reason="look"),
    "resume": lambda store: store.resume("true"),
    "cancel": lambda store: store.cancel("number < 2", dry_run=True),
    "edit": lambda store: store.edit("number = 1", set={"doubled": "number * 2"}),
    "retry": lambda store: store.retry("run_state = 'CANCELLED'", at="NEW"),
    "prune": lambda store: store.prune(timedelta(0)),
    "begin_export": lambda store: store.begin_export("nightly", to="lake"),
    "end_export": lambda store: store.end_export(1),
    "request_stop": lambda store: store.request_stop(),
}


def test_every_operation_is_among_those_that_are_tried() -> None:
    assert OPERATIONS.keys() == request_types().keys()
    assert OPERATIONS.keys() <= set(public_methods(Operations))


@pytest.mark.parametrize("way", WAYS)
def test_every_operation_has_a_result_of_its_type(way: str, tmp_path: Path) -> None:
    with reached(way, tmp_path) as store:
        check_results(way, store)
        check_loads(store, tmp_path)


def check_loads(store: Store, folder: Path) -> None:
    """Load files and rows twice: a file and an integer key are the same in each of the ways."""
    file = folder / "things.csv"
    file.write_text("number\n50\n51\n50\n")
    first, second = (
        store.trigger_many(folder / "*.csv", foreign_id="number", once=True) for _ in range(2)
    )
    assert (first.loaded, [each.rejected for each in first.files]) == (2, [1])
    assert (second.loaded, [each.loaded_path for each in second.skipped_files]) == (0, [str(file)])
    assert store.rejected().select("source", "source_row", "reason").fetchall() == [
        (str(file), 3, "duplicate")
    ]
    store.trigger(60, Thing(60))
    changed = store.trigger_many([Thing(60, doubled=1)], foreign_id="number", on_conflict="update")
    assert (changed.updated, store.get("60").object.doubled) == (1, 1)
    assert store.history("60").select("outcome").fetchall() == [("edited",)]


def check_results(way: str, store: Store) -> None:
    results = {}
    for name, perform in OPERATIONS.items():
        if (way, name) == ("closed file", "request_stop"):
            continue
        results[name] = perform(store)
        assert type(results[name]) is request_types()[name].result_type, name
    names = ("pause", "resume", "cancel", "edit", "retry")
    reports = [results[name] for name in names]
    assert list(map(str, reports)) == [
        "1 run paused",
        "1 run resumed, 5 runs refused (5 INITIATED)",
        "2 runs would be cancelled",
        "1 run edited",
        "0 runs retried",
    ]
    assert store.get("t1").object.doubled == 2
    assert store.get("new").run_id == results["trigger"]


ERRORS: dict[str, Callable[[Store], object]] = {
    "unknown workflow": lambda store: store.pause("true", workflow="nowhere"),
    "unknown workflow in a question": lambda store: store.counts(workflow="nowhere"),
    "invalid predicate": lambda store: store.cancel("nmber = 1"),
    "invalid predicate in a question": lambda store: store.runs("nmber = 1").fetchall(),
    "invalid predicate of a prune": lambda store: store.prune(timedelta(0), "nmber = 1"),
    "invalid expression": lambda store: store.edit("true", set={"number": "nmber"}),
    "several statements": lambda store: store.sql("SELECT 1; SELECT 2"),
    "no rest to compare": lambda store: store.explain("true"),
    "invalid query": lambda store: store.sql("SELECT nmber FROM things.runs").fetchall(),
    "invalid narrowing": lambda store: store.runs("number = 1").filter("nmber = 1").fetchall(),
    "unknown run": lambda store: store.get("unknown"),
    "unknown run id": lambda store: store.history(UUID(int=7)),
    "unknown run ids": lambda store: store.pause(run_ids=[UUID(int=7)]),
    "no run id": lambda store: store.pause(run_ids=["x"]),
    "no choice of runs": lambda store: store.pause(),
    "invalid reason": lambda store: store.pause("true", reason=7),  # type: ignore[arg-type]
    "invalid flag": lambda store: store.prune(timedelta(0), dry_run="no"),  # type: ignore[arg-type]
    "invalid moment": lambda store: store.prune("yesterday"),  # type: ignore[arg-type]
    "invalid choice": lambda store: store.trigger_many([], on_invalid="drop"),  # type: ignore[arg-type]
    "unknown column to group by": lambda store: store.errors(by="nmber"),
    "invalid cause": lambda store: store.errors(7),  # type: ignore[arg-type]
    "invalid time": lambda store: store.costs(since="yesterday"),  # type: ignore[arg-type]
    "a run that never failed": lambda store: store.repro("t1", "/nowhere"),
    "invalid bucket": lambda store: store.throughput(0),
    "unknown status to retry at": lambda store: store.retry("true", at="NOWHERE"),
    "a status without a step": lambda store: store.retry("true", at=Stage.DONE),
    "unknown field": lambda store: store.edit("true", set={"nmber": "1"}),
    "unknown status": lambda store: store.trigger("x", Thing(1), at="NOWHERE"),
    "unfit object": lambda store: store.trigger("x", Thing("many")),  # type: ignore[arg-type]
    "no object": lambda store: store.trigger("x", 7),
    "unfit rows": lambda store: store.trigger_many([Thing("many")]),  # type: ignore[arg-type]
    "no source": lambda store: store.trigger_many(7),
    "missing file": lambda store: store.trigger_many("/nowhere/at-all.csv"),
    "conflict": lambda store: store.trigger("t1", Thing(1)),
    "unreachable status": lambda store: store.wait(
        store.trigger("late", Thing(1), at=Stage.DOUBLED), Stage.NEW, timeout_seconds=5
    ),
    "not in time": lambda store: store.wait("t1", Stage.DONE, timeout_seconds=0),
}
MISSPELT: list[Callable[[Any], object]] = [
    lambda store: store.pause("true", resaon="x"),
    lambda store: store.prune(timedelta(0), dryrun=True),
    lambda store: store.trigger_many([], foreign="x"),
]


def outcome_of(call: Callable[[Store], object], store: Store) -> tuple[type, str, object]:
    with pytest.raises((BatchflowError, TimeoutError)) as caught:
        call(store)
    attributes = {name: value for name, value in vars(caught.value).items() if name != "run_id"}
    # Run ids have random bits of their own in each store.
    base = str(store.runs().select("run_id").limit(1).fetchall()[0][0])[:23]
    message = str(caught.value).replace(base, "…").replace(store.path, "…")
    return type(caught.value), message, attributes


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_of_the_same_class_with_the_same_message_everywhere(
    stores: dict[str, Store], case: str
) -> None:
    outcomes = {way: outcome_of(ERRORS[case], store) for way, store in stores.items()}
    assert outcomes["engine elsewhere"] == outcomes["engine"]
    assert outcomes["closed file"] == outcomes["engine"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", MISSPELT)
def test_a_misspelt_option_fails_at_the_caller_by_its_name(
    stores: dict[str, Store], way: str, call: Callable[[Any], object]
) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument '(resaon|dryrun|foreign)'"):
        call(stores[way])


CALLS: dict[str, tuple[int, Callable[[bf.StoreClient], object]]] = {
    "runs, narrowed": (1, lambda store: store.runs("number > 0").order("seq").limit(2).df()),
    "throughput": (1, lambda store: store.throughput().fetchall()),
    "durations": (1, lambda store: store.durations().to_arrow_table()),
    "a shown table": (1, lambda store: store.counts()._repr_html_()),
    "a printed table": (1, lambda store: repr(store.runs())),
    "sql": (1, lambda store: store.sql("SELECT count(*) FROM things.runs").fetchall()),
    "a stream": (1, lambda store: store.runs().to_arrow_reader().read_all()),
    "columns": (1, lambda store: store.runs().columns),
    "length": (1, lambda store: len(store.runs())),
    "pause": (1, lambda store: store.pause("true")),
    "trigger": (1, lambda store: store.trigger("new", Thing(1))),
    "progress": (1, lambda store: store.progress()),
    "nothing but a relation": (0, lambda store: store.runs("number > 0").order("seq")),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_takes_one_round_trip(
    stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    client = stores["engine elsewhere"]
    assert isinstance(client, bf.StoreClient)
    connect, trips = RemoteStore._connected, []

    def counted(store: RemoteStore) -> object:
        trips.append(store)
        return connect(store)

    monkeypatch.setattr(RemoteStore, "_connected", counted)
    expected, call = CALLS[case]
    call(client)
    assert len(trips) == expected

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from loading_kit import NOW, Item, Loader, Stage, opened, workflow_of
from test_load_values import Everything, columns_of, everything

from batchflow.definition.run_state import RunState
from batchflow.errors import ConflictError, InvalidRowsError, LoadError
from batchflow.store.runs import unfinished
from batchflow.store.store import Store


def test_a_triggered_run_begins_at_the_starting_point(loader: Loader) -> None:
    placed = loader.trigger("k", Item("a", 1.5, note="n"))

    assert (placed.code, placed.first_seq, placed.last_seq) == (0, 0, 0)
    rows = loader.query(
        "SELECT run_id, foreign_id, status, run_state, version, attempt, name, price, count, note "
        "FROM items.runs"
    )
    assert [UUID(bytes=row.pop("run_id").bytes) for row in rows] == [
        UUID(int=loader.layout.run_id_base)
    ]
    assert rows == [
        {
            "foreign_id": "k",
            "status": "CREATED",
            "run_state": "INITIATED",
            "version": 1,
            "attempt": 1,
            "name": "a",
            "price": 1.5,
            "count": 1,
            "note": "n",
        }
    ]


def test_every_type_is_stored_as_a_load_stores_it() -> None:
    with opened(Everything) as loader:
        loader.load([everything()], foreign_id="key")
        loader.trigger("other", everything())

        first, second = loader.query(columns_of(loader))
    assert first == second


def test_runs_are_numbered_consecutively(loader: Loader) -> None:
    loader.load([Item("a", 1.0), Item("b", 2.0)])

    seqs = [loader.trigger(f"k{n}", Item("c", 3.0)).first_seq for n in range(3)]

    assert seqs == [2, 3, 4]
    assert loader.load([Item("d", 1.0)]).first_seq == 5


@pytest.mark.parametrize("state", RunState)
def test_a_foreign_id_with_an_unfinished_run_conflicts(loader: Loader, state: RunState) -> None:
    loader.trigger("k", Item("a", 1.0))
    with loader.connection.write() as cursor:
        cursor.execute(f"UPDATE items.runs SET run_state = '{state.name}'")

    if state.finished:
        assert loader.trigger("k", Item("a", 1.0)).first_seq == 1
    else:
        with pytest.raises(ConflictError, match="'k' has an unfinished run") as caught:
            loader.trigger("k", Item("a", 1.0))
        assert (caught.value.count, caught.value.foreign_ids) == (1, ("k",))
        assert loader.column("seq") == [0]


def test_a_foreign_id_can_be_triggered_again_after_its_run_finished(loader: Loader) -> None:
    for seq in range(5):
        assert loader.trigger("k", Item("a", 1.0)).first_seq == seq
        with pytest.raises(ConflictError):
            loader.trigger("k", Item("a", 1.0))
        loader.finish("true")


def test_a_conflict_with_a_loaded_run_is_found(loader: Loader) -> None:
    loader.trigger("other", Item("o", 1.0))
    loader.load([Item(f"n{n}", 1.0) for n in range(10_000)])

    with pytest.raises(ConflictError):
        loader.trigger("n9999", Item("a", 1.0))
    loader.finish("name = 'n5'")
    assert loader.trigger("n5", Item("a", 1.0)).first_seq == 10_001


def test_a_conflict_is_found_by_a_reopened_store(tmp_path: Path) -> None:
    with opened(path=tmp_path / "s.duckdb") as loader:
        loader.trigger("k", Item("a", 1.0))
    again = Store.open(tmp_path / "s.duckdb", [workflow_of(Item)], clock=lambda: NOW)
    try:
        with pytest.raises(ConflictError):
            Loader(again, workflow_of(Item)).trigger("k", Item("a", 1.0))
    finally:
        again.close()


@pytest.mark.parametrize("kept", [0, 3, 100_000])
def test_conflicts_are_found_for_any_number_of_unfinished_runs(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(unfinished, "_MOST_KEPT", kept)
    monkeypatch.setattr(unfinished, "_MOST_RECENT", 2)
    monkeypatch.setattr(unfinished, "_SCANS_BEFORE_RETRY", 2)
    loader.load([Item("a", 1.0), Item("b", 1.0)])

    for n in range(6):
        loader.trigger(f"k{n}", Item("c", 1.0))
        for taken in ("a", "b", f"k{n}", "k0"):
            with pytest.raises(ConflictError):
                loader.trigger(taken, Item("c", 1.0))
        loader.trigger(f"other{n}", Item("c", 1.0))
    loader.finish("foreign_id IN ('a', 'k3')")

    assert loader.trigger("a", Item("c", 1.0)).first_seq == 14
    assert loader.trigger("k3", Item("c", 1.0)).first_seq == 15
    with pytest.raises(ConflictError):
        loader.trigger("a", Item("c", 1.0))


def test_a_run_that_was_rolled_back_does_not_conflict(loader: Loader) -> None:
    loader.trigger("a", Item("a", 1.0))

    def give_up() -> None:
        with loader.connection.write():
            loader.trigger("b", Item("a", 1.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()

    assert loader.trigger("b", Item("a", 1.0)).first_seq == 1
    with pytest.raises(ConflictError):
        loader.trigger("b", Item("a", 1.0))


def test_one_error_names_all_values_that_do_not_fit(loader: Loader) -> None:
    wrong: Any = Item("a", "1.0", 2.5)  # type: ignore[arg-type]

    with pytest.raises(InvalidRowsError) as caught:
        loader.trigger("k", wrong)

    assert "field 'price' is a str instead of float" in str(caught.value)
    assert "field 'count' is a float instead of int" in str(caught.value)
    assert caught.value.column == "price"
    assert loader.column("seq") == []


@pytest.mark.parametrize("wrong", [None, Item, ["a", 1.0]])
def test_objects_of_other_classes_are_refused(loader: Loader, wrong: Any) -> None:
    with pytest.raises(LoadError, match="carries objects of Item"):
        loader.trigger("k", wrong)


def test_an_object_may_be_given_as_a_mapping_of_its_fields(loader: Loader) -> None:
    loader.trigger("k", {"name": "a", "price": 1.5})
    assert loader.query("SELECT name, price, count FROM items.runs") == [
        {"name": "a", "price": 1.5, "count": 1}
    ]


@pytest.mark.parametrize("wrong", [{"name": "a"}, {"name": "a", "price": 1.0, "colour": "red"}])
def test_a_mapping_that_lacks_a_field_or_has_another_is_refused(loader: Loader, wrong: Any) -> None:
    with pytest.raises(LoadError, match=r"price|colour"):
        loader.trigger("k", wrong)


@pytest.mark.parametrize("wrong", [7, None, b"k", "\ud800"])
def test_a_foreign_id_has_to_be_a_text(loader: Loader, wrong: Any) -> None:
    with pytest.raises(LoadError, match="foreign id is"):
        loader.trigger(wrong, Item("a", 1.0))


def test_a_run_begins_at_the_given_status(loader: Loader) -> None:
    assert loader.trigger("a", Item("a", 1.0), Stage.PAID).code == 1
    assert loader.column("status") == ["PAID"]
    with pytest.raises(LoadError, match="has no step at DONE"):
        loader.trigger("b", Item("a", 1.0), "DONE")


def test_a_foreign_id_is_found_among_loaded_ones(loader: Loader) -> None:
    names = [f"n{n}" for n in range(20_000)]
    loader.load(pa.table({"name": names, "price": pa.array(range(20_000), pa.float64())}))
    loader.finish("seq >= 10")

    taken = []
    for name in names[:20]:
        try:
            loader.trigger(name, Item(name, 1.0))
        except ConflictError:
            taken.append(name)

    assert taken == names[:10]

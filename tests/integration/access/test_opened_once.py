"""A closed file is opened once for all queries of a question, and of a command that asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.access import shared_file
from batchflow.cli import main
from batchflow.store.read_only_store import ReadOnlyStore
from kit.things import load, things


class Counted(ReadOnlyStore):
    """Counts how often a file is opened."""

    opened = 0

    def __init__(self, path: str | os.PathLike[str]) -> None:
        type(self).opened += 1
        super().__init__(path)


@pytest.fixture
def counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    with bf.Engine(path, things(), workers=0) as engine:
        load(engine, 3)
        engine.run()
    monkeypatch.setattr(Counted, "opened", 0)
    monkeypatch.setattr(shared_file, "ReadOnlyStore", Counted)
    return Counted


@pytest.mark.parametrize("name", ["check", "metrics"])
def test_a_question_of_many_queries_opens_the_file_once(
    name: str, path: Path, counted: type[Counted]
) -> None:
    client = bf.connect(path)
    before = counted.opened
    assert getattr(client, name)()
    assert counted.opened == before + 1


@pytest.mark.parametrize("words", [["counts"], ["status"], ["runs", "--json"], ["errors"]])
def test_a_command_opens_the_file_once(
    path: Path, counted: type[Counted], words: list[str]
) -> None:
    assert main([*words, "--store", str(path)]) == 0
    assert counted.opened == 1


def test_a_set_of_shards_is_opened_and_changed_with_one_look_at_each_file(
    tmp_path: Path, counted: type[Counted]
) -> None:
    path = tmp_path / "night-{shard}.duckdb"
    counted.opened = 0
    stores = bf.Stores(path, things(), shards=3)
    assert counted.opened == 3

    load(stores, 3)
    assert counted.opened == 3


def test_a_workflow_that_an_engine_adds_is_found_after_the_file_was_read(path: Path) -> None:
    with bf.Engine(path, things(), workers=0):
        pass
    client = bf.connect(path)
    assert client.workflows == ("things",)

    with bf.Engine(path, things(), things(name="others"), workers=0):
        pass
    assert client.workflows == ("others", "things")

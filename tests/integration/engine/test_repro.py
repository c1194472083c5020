"""A test is written that fails as a run did."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import batchflow as bf
from batchflow.testing import inline_engine

SHOP = """
    import datetime as dt
    import enum
    from dataclasses import dataclass, field
    from decimal import Decimal
    from typing import Annotated
    from uuid import UUID

    import batchflow as bf

    class Stage(enum.Enum):
        NEW = "new"
        PRICED = "priced"
        STORED = "stored"
        DONE = "done"

    class Kind(enum.Enum):
        PLAIN = "plain"
        ODD = "odd one"

    @dataclass
    class Line:
        name: str
        price: Annotated[Decimal, bf.Precision(9, 2)]

    @dataclass
    class Order:
        name: str
        lines: list[Line]
        at: Annotated[dt.datetime, bf.UTC]
        key: UUID
        kind: Kind = Kind.PLAIN
        weight: float = float("inf")
        waits: dt.timedelta = dt.timedelta(hours=2)
        labels: dict[str, str] = field(default_factory=dict)
        total: float | None = None

    orders = bf.Workflow("orders", Order, Stage, retry=bf.Retry(pause_after=1))

    @orders.step(Stage.NEW, to=Stage.PRICED)
    def price(run):
        order = run.object
        if order.kind is Kind.ODD and order.labels == {"it's": 'a "shelf"'}:
            odd = chr(0) + chr(34) * 3 + chr(92)
            raise ValueError(f"no price for {order.lines[0].price} of {order.name} {odd}")
        return Stage.PRICED

    @orders.batch_step(Stage.PRICED, to=Stage.STORED)
    def store(batch):
        if (batch["name"] == "unstorable").any():
            raise KeyError("no shelf")
        return Stage.STORED

    orders.sql_step(Stage.STORED, to=[Stage.DONE], set={"total": "CAST(name AS DOUBLE)"})
"""
ODD = {"name": "secret", "kind": "ODD", "labels": {"it's": 'a "shelf"'}}
ERRORS = {
    "secret": ("ValueError: no price for 2.50 of secret", ODD),
    "unstorable": ("KeyError: 'no shelf'", {}),
    "12 kg": ("AssertionError: a value c", {}),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(textwrap.dedent(SHOP))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("shop")
    sys.path.remove(str(folder))


@pytest.fixture
def engine(shop: ModuleType) -> Iterator[bf.Engine]:
    with inline_engine(shop.orders) as engine:
        at, key = shop.dt.datetime(2026, 1, 5, 12, tzinfo=shop.dt.UTC), shop.UUID(int=7)
        for name, (_, others) in {**ERRORS, "12": ("", {})}.items():
            kind = shop.Kind[others.get("kind", "PLAIN")]
            labels = others.get("labels", {})
            lines = [shop.Line("tea", shop.Decimal("2.50"))]
            order = shop.Order(name, lines, at, key, kind=kind, labels=labels)
            engine.trigger(name, order, at="NEW")
        engine.run(progress=False)
        yield engine


def pytest_on(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ERRORS)
def test_the_test_fails_as_the_run_did(engine: bf.Engine, name: str, tmp_path: Path) -> None:
    path = engine.repro(name, tmp_path / "repro", values=True)
    assert path == tmp_path / "repro" / "test_repro.py"
    assert ERRORS[name][0] in pytest_on(path)


def test_without_values_there_are_placeholders(engine: bf.Engine, tmp_path: Path) -> None:
    [(cause,)] = engine.errors(where="name = 'secret'").select("cause").fetchall()
    text = engine.repro(cause, tmp_path).read_text()
    assert "secret" not in text
    assert "2.50" not in text
    assert "shelf" not in text
    assert "failed in step price at NEW." in text
    assert "ValueError in price, shop.py:" in text
    compile(text, "test_repro.py", "exec")


def test_a_run_that_has_not_failed_and_a_second_test_are_refused(
    engine: bf.Engine, tmp_path: Path
) -> None:
    with pytest.raises(bf.errors.InvalidOptionError, match="hasn't failed"):
        engine.repro(12, tmp_path)
    engine.repro("secret", tmp_path)
    with pytest.raises(bf.errors.InvalidOptionError, match="exists already"):
        engine.repro("secret", tmp_path)
    with pytest.raises(bf.errors.RunNotFoundError):
        engine.repro("nobody", tmp_path)


def test_a_client_writes_the_same_test_with_the_workflow_itself(
    shop: ModuleType, tmp_path: Path
) -> None:
    path = str(tmp_path / "shop.duckdb")
    with inline_engine(shop.orders, path=path) as engine:
        at, lines = shop.dt.datetime(2026, 1, 5, tzinfo=shop.dt.UTC), [shop.Line("tea", 1)]
        order = shop.Order("a", lines, at, shop.UUID(int=7), shop.Kind.ODD, labels=ODD["labels"])
        engine.trigger("a", order)
        engine.run(progress=False)
        expected = engine.repro("a", tmp_path / "engine", values=True).read_text()
        assert "from shop import Kind\nfrom shop import Line\n" in expected
        with bf.connect(path) as client:
            written = client.repro("a", tmp_path / "live", values=True, workflow=shop.orders)
            assert written.read_text() == expected
    with bf.connect(path) as client:
        written = client.repro("a", tmp_path / "closed", values=True, workflow=shop.orders)
        assert written.read_text() == expected
        with pytest.raises(bf.errors.InvalidOptionError, match="has no code of workflow 'orders'"):
            client.repro("a", tmp_path / "without")

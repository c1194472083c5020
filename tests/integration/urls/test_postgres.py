"""Loads from a real Postgres, and exports of finished runs to it, exactly once."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest

import batchflow as bf
from kit.forked import execute
from kit.postgres import PASSWORD, Postgres, postgres, programs
from kit.things import load, things


@pytest.fixture(scope="module")
def pg() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("Debian's package postgresql isn't installed")
    with postgres() as server:
        yield server


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Order:
    number: int
    total: Annotated[Decimal, bf.Precision(12, 2)]
    key: UUID
    paid: bool = True
    rate: float = 0.5
    moment: Annotated[dt.datetime, bf.UTC] | None = None
    day: dt.date | None = None
    raw: bytes | None = None
    tags: list[str] = field(default_factory=list)


def orders() -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE)
    return workflow


COLUMNS = "number, total, key, paid, rate, moment, day, raw"
SOURCE = """
SELECT n AS number, (n / 4.0)::numeric(12, 2) AS total,
  ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid AS key, n % 2 = 0 AS paid,
  n / 8.0::float8 AS rate, '2026-11-28 10:00+02'::timestamptz AS moment, '2026-11-28'::date AS day,
  '\\x00ff'::bytea AS raw FROM generate_series(1, 300) AS n
"""


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    """Return the message of a call that fails, and check that nothing shows the password."""
    with pytest.raises(bf.BatchflowError) as raised:
        call(*arguments, **options)
    shown = "".join(traceback.format_exception(raised.value))
    assert PASSWORD not in shown + repr(raised.value)
    return str(raised.value)


def test_a_query_loads_and_its_runs_go_back_with_their_types(pg: Postgres, path: Path) -> None:
    with bf.Engine(path, orders(), executor=bf.Inline()) as engine:
        # In the client's process, which sends the rows.
        source = bf.sources.query(pg.url, SOURCE)
        assert bf.connect(path).trigger_many(source, foreign_id="number").loaded == 300
        engine.run()
        report = engine.export(pg.url, table="public.orders_done")
        assert (report.rows, report.to) == (
            300,
            f"postgresql://***@/postgres?host={pg.folder}, table public.orders_done",
        )
        assert engine.export(pg.url, table="public.orders_done").rows == 0
        before = engine.runs().order("number").select(COLUMNS).fetchall()

    with bf.Engine(":memory:", orders(), workers=0) as again:
        query = f"SELECT {COLUMNS} FROM orders_done"
        assert (
            again.trigger_many(bf.sources.query(pg.url, query), foreign_id="number").loaded == 300
        )
        assert again.runs().order("number").select(COLUMNS).fetchall() == before
    [kinds] = pg.execute(
        "SELECT string_agg(data_type, ' ' ORDER BY ordinal_position) FROM "
        "information_schema.columns WHERE table_name = 'orders_done' AND column_name IN "
        "('run_id', 'status', 'total', 'key', 'moment', 'tags')"
    )
    assert kinds == ("uuid text numeric uuid timestamp with time zone jsonb",)


def test_a_table_that_exists_gets_the_columns_that_it_has(pg: Postgres) -> None:
    pg.execute('CREATE SCHEMA "odd; --"')
    pg.execute(
        'CREATE TABLE "odd; --"."it\'s ""done""" (run_id uuid UNIQUE, number numeric(9, 1), '
        "noted timestamptz DEFAULT now())"
    )
    with bf.Engine(":memory:", things(), executor=bf.Inline()) as engine:
        load(engine, 3)
        engine.run()
        assert engine.export(pg.url, table='odd; --.it\'s "done"', where="number > 0").rows == 2

    rows = pg.execute('SELECT number::text, noted IS NULL FROM "odd; --"."it\'s ""done"""')
    assert sorted(rows) == [("1.0", False), ("2.0", False)]


SCRIPT = """
import sys
import batchflow as bf
from batchflow.testing import arm_crash
from kit.things import things
with bf.Engine(sys.argv[1], things(), workers=0) as engine:
    arm_crash("export_written")
    engine.export(sys.argv[2], since="nightly", table="done")
"""


def test_a_killed_hand_over_writes_each_run_once(pg: Postgres, path: Path) -> None:
    with bf.Engine(path, things(), executor=bf.Inline()) as engine:
        load(engine, 5)
        engine.run()
    assert execute(SCRIPT, path, pg.url).code == -signal.SIGKILL

    with bf.Engine(path, things(), executor=bf.Inline()) as engine:
        engine.trigger("later", {"number": 10})
        engine.run()
        rows = [engine.export(pg.url, since="nightly", table="done").rows for _ in range(3)]
        assert rows == [0, 1, 0]
        written = pg.execute("SELECT number FROM done ORDER BY number")
        assert written == [(n,) for n in (0, 1, 2, 3, 4, 10)]
        destinations = engine.sql("SELECT destination FROM batchflow.exports").fetchall()
        assert PASSWORD not in str(destinations)
    assert PASSWORD.encode() not in path.read_bytes()


RUN_TWICE = """
from pathlib import Path
store_path = Path(__file__).with_name("scores.duckdb")
for _ in range(2):
    with bf.Engine(store_path, scores, executor=bf.Inline()) as engine:
        rows = [{"id": n, "customer": f"c{n}", "points": n} for n in range(500)]
        engine.trigger_many(rows, foreign_id="id", once=True)
        # As after a crash, the chunk is executed again.
        engine.retry("run_state = 'COMPLETED'", at="NEW")
        engine.run(progress=False)
        assert engine.counts().fetchall() == [("STORED", "COMPLETED", 500)]
"""


def test_the_step_of_the_documentation_writes_each_run_once(pg: Postgres, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")
    [step] = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    pg.execute("CREATE TABLE scores (run_id uuid PRIMARY KEY, customer text, points bigint)")
    script = tmp_path / "scores.py"
    script.write_text(step + RUN_TWICE, encoding="utf-8")
    environment = {**os.environ, "DATABASE_URL": pg.url}

    subprocess.run([sys.executable, script], env=environment, check=True)

    assert pg.execute("SELECT count(*), sum(points)::bigint FROM scores") == [(500, 124750)]


def test_what_the_database_refuses_is_one_sentence_without_the_password(
    pg: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "batchflow")
    query = bf.sources.query
    wrong = pg.url.replace(f":{PASSWORD}", f":{PASSWORD}%zz")
    with bf.Engine(":memory:", things(), executor=bf.Inline()) as engine:
        load(engine, 2)
        engine.run()
        for source, problem in (
            (query(pg.url, "SELECT nope"), 'column "nope" does not exist'),
            (query(pg.url, "SELECT 'secret'::int AS number"), "invalid input syntax for type int"),
            (query(pg.url + "x", "SELECT 1"), "No such file or directory"),
            (query(wrong, "SELECT 1"), "the URL isn't valid"),
            (query(pg.url.replace(PASSWORD, "other"), "SELECT 1"), "authentication failed"),
            (query(pg.url, "SELECT n / (3000 - n) AS number FROM generate_series(1, 5000) n"), ""),
        ):
            message = refused(engine.trigger_many, source, foreign_id="number")
            assert problem in message
            assert "secret" not in message
            assert PASSWORD not in repr(source)
        pg.execute("CREATE TABLE keyless (run_id uuid, number int)")
        pg.execute("CREATE TABLE strict_one (run_id uuid UNIQUE, number int CHECK (number > 0))")
        pg.execute("CREATE TABLE other (id int)")
        for table, problem in (
            ("keyless", "no unique or exclusion constraint"),
            ("strict_one", "violates check constraint"),
            ("other", "has no column 'run_id'"),
            ("nowhere.runs", 'schema "nowhere" does not exist'),
        ):
            message = refused(engine.export, pg.url, table=table)
            assert f"the table {table!r}" in message.lower()
            assert problem in message
        assert pg.execute("SELECT count(*) FROM strict_one") == [(0,)]
        for nameless in (None, "", 3):
            assert "name it with table=" in refused(engine.export, pg.url, table=nameless)
        assert "options of files" in refused(engine.export, pg.url, table="t", format="csv")
        assert "begins with postgresql://" in refused(engine.export, "runs.csv", table="t")
        assert len(engine.runs()) == 2
    assert "begin with postgresql://" in refused(query, "mysql://a:b@c/d", "SELECT 1")
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(query(pg.url, "SELECT 1"))
    assert PASSWORD not in caplog.text

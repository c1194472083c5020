"""A small store of each file format, written by the code of its time, still opens and drains."""

from __future__ import annotations

import gzip
import hashlib
import re
import signal
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from make_format import (
    BEGIN,
    FOLDER,
    LATER,
    LetterStatus,
    OrderStatus,
    Priority,
    later_engine,
    letters,
    make,
    order,
    orders,
)

import batchflow as bf
from batchflow.access.shared_file import SharedFile
from batchflow.definition.description import describe
from batchflow.errors import StoreFormatError
from batchflow.store.database.file_format import FORMAT_VERSION
from batchflow.store.schema.layout import TRANSITION_OUTCOMES
from batchflow.store.schema.stored_definition import stored_workflows
from batchflow.store.schema.upgrade import CHANGES
from batchflow.testing import FakeClock
from kit.forked import execute

FILES = sorted(FOLDER.glob("format_*.duckdb.gz"))
OLDER = [file for file in FILES if file.name != f"format_{FORMAT_VERSION}.duckdb.gz"]
DOCUMENTED = FOLDER.parents[3] / "docs" / "file_format.md"
ORDERS = {
    ("RECEIVED", "INITIATED"): 3,
    ("RECEIVED", "RUNNING"): 7,
    ("RECEIVED", "PAUSED"): 5,
    ("RECEIVED", "CANCELLED"): 1,
    ("SHIPPED", "COMPLETED"): 15,
    ("REJECTED", "COMPLETED"): 3,
}
LETTERS = {("WRITTEN", "INITIATED"): 1, ("WRITTEN", "PAUSED"): 1, ("SENT", "COMPLETED"): 3}
OUTCOMES = {
    "advanced": 48,
    "cancelled": 1,
    "failed": 6,
    "paused": 7,
    "repeated": 3,
    "resumed": 1,
}
# The run that is resumed by hand is paused again, and one of the new orders is rejected.
DRAINED_ORDERS = {
    ("RECEIVED", "PAUSED"): 6,
    ("RECEIVED", "CANCELLED"): 1,
    ("SHIPPED", "COMPLETED"): 23,
    ("REJECTED", "COMPLETED"): 4,
}
DRAINED_LETTERS = {("WRITTEN", "PAUSED"): 1, ("SENT", "COMPLETED"): 4}


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return unpacked(request.param, tmp_path)


def unpacked(file: Path, folder: Path) -> Path:
    path = folder / file.name.removesuffix(".gz")
    path.write_bytes(gzip.decompress(file.read_bytes()))
    return path


def counted(rows: Any) -> dict[Any, int]:
    return {tuple(row[:-1]) if len(row) > 2 else row[0]: row[-1] for row in rows}


def outcomes(found: Any) -> dict[Any, int]:
    return counted(
        found.sql("SELECT outcome, count(*) FROM orders.transitions GROUP BY ALL").fetchall()
    )


def the_format(found: Any) -> Any:
    return found.sql("SELECT format_version FROM batchflow.store").fetchall()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_there_is_a_file_of_each_format() -> None:
    names = [f"format_{version}.duckdb.gz" for version in range(1, FORMAT_VERSION + 1)]
    assert [file.name for file in FILES] == names, "run make_format.py and commit its file"


def test_there_is_a_way_from_each_format_to_the_next() -> None:
    assert list(CHANGES) == list(range(2, FORMAT_VERSION + 1))
    assert all(CHANGES.values())


def tables(path: Path) -> dict[str, str]:
    """Return the statement that creates each table and view, without the random part of run ids."""
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            "SELECT schema_name || '.' || table_name, sql FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name, sql FROM duckdb_views() WHERE NOT internal"
        )
        return {name: re.sub(r"\d{30,}", "BASE", sql) for name, sql in found.fetchall()}


@pytest.fixture(scope="module")
def tables_of_a_new_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("new") / "new.duckdb"
    make(path)
    return tables(path)


def test_a_file_of_each_format_has_the_tables_of_a_new_one_once_it_is_opened(
    path: Path, tables_of_a_new_file: dict[str, str]
) -> None:
    later_engine(path).close()
    assert tables(path) == tables_of_a_new_file


def test_the_file_of_the_current_format_has_the_tables_of_a_new_one(
    tmp_path: Path, tables_of_a_new_file: dict[str, str]
) -> None:
    current = unpacked(FILES[-1], tmp_path)
    changed = "raise FORMAT_VERSION, add the change to CHANGES, and run make_format.py"
    assert tables(current) == tables_of_a_new_file, changed


def test_an_upgrade_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    version = int(path.stem[-1])
    with caplog.at_level("INFO", logger="batchflow"):
        later_engine(path).close()
        later_engine(path).close()
    logged = [
        r.getMessage() for r in caplog.records if getattr(r, "action", "") == "upgrade_format"
    ]
    expected = f"The store is upgraded from format {version} to format {FORMAT_VERSION}."
    assert logged == ([expected] if version < FORMAT_VERSION else [])


QUERIES: dict[str, Callable[[Any], Any]] = {
    name: lambda found, name=name: getattr(found, name)(workflow="orders")
    for name in ("runs", "counts", "errors", "throughput", "durations", "transitions")
} | {
    "funnel": lambda found: found.funnel(workflow="orders"),
    "counts then": lambda found: found.counts(as_of=LATER, workflow="orders"),
    "runs then": lambda found: found.runs(as_of=LATER, workflow="orders"),
    "what moved": lambda found: found.diff(BEGIN - timedelta(1), LATER, workflow="orders"),
    "ages": lambda found: found.ages(workflow="orders"),
    "sql": lambda found: found.sql("SELECT * FROM orders.runs, letters.runs LIMIT 9"),
    "letters": lambda found: found.runs("text = '2'", workflow="letters"),
}


def test_every_query_works_while_the_file_is_only_read(path: Path) -> None:
    before = digest(path)
    # The file is open all the time, so no query has to open it.
    with SharedFile.at(str(path)).reading(), bf.connect(path) as found:
        for name, query in QUERIES.items():
            assert query(found).to_arrow_table().num_rows, name
        assert counted(found.counts(workflow="orders").fetchall()) == ORDERS
        assert counted(found.counts(workflow="letters").fetchall()) == LETTERS
        assert outcomes(found) == OUTCOMES
        [(run_id,)] = found.runs("number = 5", workflow="orders").select("run_id").fetchall()
        history = [row[3] for row in found.history(run_id).fetchall()]
        assert history == ["paused", "resumed"]
    assert digest(path) == before


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.name)
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[bf.Engine]:
    """Return an engine that upgraded a file, for tests that only ask."""
    with later_engine(unpacked(request.param, tmp_path_factory.mktemp("upgraded"))) as opened:
        yield opened


def test_every_query_works_in_an_engine(upgraded: bf.Engine) -> None:
    assert the_format(upgraded) == [(FORMAT_VERSION,)]
    for name, query in QUERIES.items():
        assert query(upgraded).to_arrow_table().num_rows, name
    assert counted(upgraded.counts(workflow="orders").fetchall()) == ORDERS
    assert outcomes(upgraded) == OUTCOMES


def test_objects_are_what_they_were(upgraded: bf.Engine) -> None:
    [(run_id,)] = upgraded.runs("number = 7", workflow="orders").select("run_id").fetchall()
    kept = upgraded.get(run_id)
    expected = order(7)
    expected.total = Decimal("24.75")
    expected.weight = 1.0
    assert kept.object == expected
    assert kept.object.priority is Priority.LOW
    assert kept.status is OrderStatus.SHIPPED


def test_a_store_of_each_format_drains_to_the_end(path: Path) -> None:
    with later_engine(path) as found:
        before = found.sql("SELECT * EXCLUDE run_id FROM orders.transitions ORDER BY ALL")
        kept = before.fetchall()
        found.run(wait_for_retries=True, progress=False)
        assert counted(found.counts(workflow="orders").fetchall()) == DRAINED_ORDERS
        assert counted(found.counts(workflow="letters").fetchall()) == DRAINED_LETTERS
        log = "SELECT * EXCLUDE run_id FROM orders.transitions WHERE committed_at < ? ORDER BY ALL"
        assert found.sql(log, [LATER]).fetchall() == kept
        assert outcomes(found)["advanced"] == OUTCOMES["advanced"] + 8 * 3 + 1
    with later_engine(path) as found:
        assert counted(found.counts(workflow="orders").fetchall()) == DRAINED_ORDERS


def test_new_outcomes_can_be_recorded_in_an_upgraded_store(path: Path) -> None:
    later_engine(path).close()
    with duckdb.connect(str(path)) as cursor:
        [(names,)] = cursor.execute(
            "SELECT enum_range(outcome)::VARCHAR[] FROM orders.transitions LIMIT 1"
        ).fetchall()
        for table in ("transitions_without_reason", "transitions_with_reason"):
            cursor.execute(f"INSERT INTO orders.{table} (seq, outcome) VALUES (0, 'edited')")
    assert tuple(names) == TRANSITION_OUTCOMES
    with bf.connect(path) as found:
        assert outcomes(found) == OUTCOMES | {"edited": 2}


def test_a_store_is_described_once_an_engine_has_opened_it(path: Path) -> None:
    later_engine(path).close()
    with duckdb.connect(str(path), read_only=True) as cursor:
        found = stored_workflows(cursor)
    assert list(found) == ["letters", "orders"]
    for name, workflow in (("orders", orders()), ("letters", letters())):
        restored = found[name]
        assert restored is not None
        assert describe(restored) == describe(workflow)


def test_a_file_of_format_1_describes_no_workflow(tmp_path: Path) -> None:
    path = unpacked(FOLDER / "format_1.duckdb.gz", tmp_path)
    with duckdb.connect(str(path), read_only=True) as cursor:
        assert stored_workflows(cursor) == {"letters": None, "orders": None}


def test_a_copy_made_as_the_documentation_says_opens(path: Path) -> None:
    documented = re.findall(r"```sql\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
    copy = path.with_name("copy.duckdb")
    names = {"orders.duckdb": str(path), "orders-before-upgrade.duckdb": str(copy)}
    with duckdb.connect() as connection:
        for name, real in names.items():
            documented = [sql.replace(f"'{name}'", f"'{real}'") for sql in documented]
        for sql in documented:
            connection.execute(sql)
    later_engine(path).close()
    with bf.connect(copy) as found:
        assert the_format(found) == [(int(path.stem[-1]),)]
        assert outcomes(found) == OUTCOMES
    with later_engine(copy) as found:
        found.run(wait_for_retries=True, progress=False)
        assert counted(found.counts(workflow="orders").fetchall()) == DRAINED_ORDERS


def test_an_upgrade_keeps_the_reasons_that_the_file_has(upgraded: bf.Engine) -> None:
    # Format 1 has no log of operations, but paused runs have their reasons.
    operations = set() if Path(upgraded.path).stem[-1] == "1" else {"resumed"}
    reasons = upgraded.sql("SELECT outcome, reason FROM orders.transitions WHERE reason <> ''")
    unexplained = upgraded.sql(
        "FROM orders.runs AS r WHERE reason IS NOT NULL AND NOT EXISTS (FROM "
        "orders.transitions AS t WHERE t.seq = r.seq AND t.reason = r.reason)"
    )
    assert not unexplained.fetchall()
    assert {outcome for outcome, _ in reasons.fetchall()} >= {"paused", *operations}


def test_upgrading_and_migrating_happen_together(path: Path) -> None:
    changed: Any = bf.Workflow("letters", letters().object_type, LetterStatus)
    changed.sql_step(LetterStatus.WRITTEN, to=[LetterStatus.SENT])
    with bf.Engine(path, changed, workers=0, clock=FakeClock(LATER)) as found:
        found.run(progress=False)
        assert found.transitions().fetchall()
        assert the_format(found) == [(FORMAT_VERSION,)]


KILLED = """
    import sys
    from pathlib import Path
    from make_format import later_engine
    from batchflow.testing import arm_crash

    arm_crash(sys.argv[2])
    later_engine(Path(sys.argv[1])).close()
"""


def killed_at(point: str, path: Path) -> None:
    child = execute(textwrap.dedent(KILLED), path, point)
    assert child.code == -signal.SIGKILL, child.output


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.name)
def test_a_kill_in_the_middle_of_an_upgrade_leaves_the_older_format(
    file: Path, tmp_path: Path
) -> None:
    path = unpacked(file, tmp_path)
    before = digest(path)
    killed_at("at_commit", path)
    assert digest(path) == before
    with bf.connect(path) as found:
        assert the_format(found) == [(int(file.name[7]),)]
        assert outcomes(found) == OUTCOMES
    with later_engine(path) as found:
        assert the_format(found) == [(FORMAT_VERSION,)]
        found.run(wait_for_retries=True, progress=False)
        assert counted(found.counts(workflow="orders").fetchall()) == DRAINED_ORDERS


@pytest.mark.parametrize(
    ("file", "point"),
    [(OLDER[0], "at_close"), (OLDER[-1], "at_checkpoint")],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_kill_after_an_upgrade_leaves_the_current_format(
    file: Path, point: str, tmp_path: Path
) -> None:
    path = unpacked(file, tmp_path)
    killed_at(point, path)
    with bf.connect(path) as found:
        assert the_format(found) == [(FORMAT_VERSION,)]
    with later_engine(path) as found:
        assert outcomes(found) == OUTCOMES


def test_a_file_of_a_newer_format_is_refused_untouched(path: Path) -> None:
    newer = FORMAT_VERSION + 1
    with duckdb.connect(str(path)) as cursor:
        cursor.execute("UPDATE batchflow.store SET format_version = ?", [newer])
    before = digest(path)
    expected = f"has format {newer}, and this batchflow reads formats up to {FORMAT_VERSION}: "
    for refused in (later_engine, bf.connect):
        with pytest.raises(StoreFormatError, match=expected + "open it with a newer batchflow"):
            refused(path)
        assert digest(path) == before
        assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_newer_format_whose_log_a_kill_left_is_refused_untouched(tmp_path: Path) -> None:
    path = unpacked(FILES[-1], tmp_path)
    newer = "UPDATE batchflow.store SET format_version = 99"
    code = (
        "import duckdb, os, signal, sys; connection = duckdb.connect(sys.argv[1]); "
        f"connection.execute({newer!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    execute(code, path)
    before = {each.name: digest(each) for each in path.parent.iterdir()}
    assert len(before) == 2
    for refused in (later_engine, bf.connect):
        with pytest.raises(StoreFormatError, match="has format 99"):
            refused(path)
        assert {each.name: digest(each) for each in path.parent.iterdir()} == before

"""Any command line ends with a documented exit code, no traceback, and only data on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import batchflow
from batchflow.cli import main
from kit.effort import examples

DOCUMENTED = {0, 1, 2, 3, 75, 130, 143}
PIPELINE = """
import enum
from dataclasses import dataclass

import batchflow as bf


class Status(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Thing:
    name: str


things = bf.Workflow("things", Thing, Status)
things.sql_step(Status.NEW, to=[Status.DONE], set={"name": "upper(name)"}, status=Status.DONE)
"""
COMMANDS = [
    *("run", "status", "errors", "runs", "show", "sql", "pause", "resume", "cancel", "diagram"),
    *("stop", "counts", "export", "completion", "demo", "prune", "ages", "durations", "funnel"),
    *("throughput", "transitions", "fly", "", "Run", "--", "-", "🎉"),
]
OPTIONS = [
    *("--store", "--load", "--load-into", "--foreign-id", "--at", "--on-conflict", "--on-invalid"),
    *("--strict", "--workers", "--wait-for-retries", "--limit", "--until", "--json", "--quiet"),
    *("-q", "-v", "-h", "-qv", "--workflow", "--where", "--run-id", "--reason", "--dry-run"),
    *("--runs", "--csv", "--parquet", "--partition-by", "--force", "--finished-before"),
    *("--bucket", "--plot", "--watch", "--svg"),
    *("--help", "--version", "--", "-", "---", "--no-such", "--sto", "--store=", "--limit=5", "-x"),
]
VALUES = [
    *("fuzz_pipeline.py:things", "fuzz_pipeline:things", "fuzz_pipeline.py", "fuzz_pipeline.py:x"),
    *(":", "a:b", "..:a", "/:a", "fuzz_pipeline.py:things,things", "fuzz_pipeline.py:,", ".py:x"),
    *("store.duckdb", "other.duckdb", "no/such/folder/s.duckdb", "things.csv", ".", "/"),
    *("/dev/null", "plot.svg", "no/such/plot.png"),
    *("empty.duckdb", "junk.duckdb", "\udcff.duckdb", "x" * 300 + ".duckdb"),
    *("things", "name", "NEW", "DONE", "skip", "error", "true", "false", "status = 'NEW'"),
    *("SELECT 1", "SELECT", "DROP TABLE things.runs", "SELECT 1 AS a, 2 AS a"),
    *("SELECT 'nan'::FLOAT", "30d", "-1d", "99999999999999w"),
    *("0", "1", "-1", "5", "99999999999999999999", "1e9", "0x10", "nan", "1_000", "٣", "1.5"),
    *("", " ", "\n", "'", '"', "%s", "{}", "*", "~", "$HOME", "🎉", "\udcff", "x" * 5_000),
    *("23:59", "25:00", "2030-01-31T06:00", "0001-01-01", "9999-12-31T23:59:59+00:00", "tomorrow"),
    *("00000000-0000-0000-0000-000000000000", "not-a-uuid", "things-*.csv", "SELECT 'a' AS name"),
]
# An argument of a process can't contain NUL. Bytes that aren't UTF-8 become lone surrogates.
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
words = st.sampled_from(VALUES) | st.sampled_from(OPTIONS) | anything
# Half of the examples pass the parser: a command with its required arguments, then anything.
NEEDED = {
    "run": ["fuzz_pipeline.py:things", "--store", "store.duckdb", "--workers", "0"],
    "status": ["--store", "store.duckdb"],
    "errors": ["--store", "store.duckdb"],
    "runs": ["--store", "store.duckdb"],
    "show": ["--store", "store.duckdb"],
    "sql": ["--store", "store.duckdb"],
    "pause": ["fuzz_pipeline.py:things", "--store", "store.duckdb", "--where", "true"],
    "resume": ["fuzz_pipeline.py:things", "--store", "store.duckdb", "--where", "true"],
    "cancel": ["fuzz_pipeline.py:things", "--store", "store.duckdb", "--where", "false"],
    "diagram": ["fuzz_pipeline.py:things"],
    "stop": ["--store", "store.duckdb"],
    "export": ["runs", "out.parquet", "--store", "store.duckdb"],
    "prune": ["--store", "store.duckdb", "--finished-before", "30d"],
    "throughput": ["--store", "store.duckdb"],
}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    if draw(st.booleans()):
        return draw(st.lists(st.sampled_from(COMMANDS) | words, max_size=8))
    command = draw(st.sampled_from(sorted(NEEDED)))
    return [command, *draw(st.permutations(NEEDED[command] + draw(st.lists(words, max_size=3))))]


@st.composite
def sensible_command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command with its required arguments, and some options with values."""
    command = draw(st.sampled_from(sorted(NEEDED)))
    pairs = st.tuples(st.sampled_from(OPTIONS), st.sampled_from(VALUES))
    more = draw(
        st.lists(pairs.map(list) | st.sampled_from(VALUES).map(lambda one: [one]), max_size=3)
    )
    return [command, *NEEDED[command], *(word for pair in more for word in pair)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("command line")
    (made / "fuzz_pipeline.py").write_text(PIPELINE)
    (made / "things.csv").write_text("name\na\nb\n")
    (made / "empty.duckdb").write_bytes(b"")
    (made / "junk.duckdb").write_bytes(b"no database\0" * 500)
    before, path = Path.cwd(), list(sys.path)
    os.chdir(made)
    load = ["--load", "things.csv", "--foreign-id", "name", "--quiet"]
    assert main(["run", *NEEDED["run"], *load]) == 0
    yield made
    os.chdir(before)
    sys.path[:] = path
    sys.modules.pop("fuzz_pipeline", None)


def is_quick(words: list[str]) -> bool:
    """Return whether the command ends soon: the demo generates a million orders."""
    return "demo" not in words


def execute(folder: Path, words: list[str]) -> tuple[int, str, str]:
    """Execute the command in this process, with its own streams."""
    runner = CliRunner()
    with runner.isolation() as streams:
        code = main(words)
        out, err = streams[0].getvalue().decode(), streams[1].getvalue().decode()
    return code, out, err


def check(words: Sequence[str | bytes], code: int, out: str, err: str) -> None:
    assert code in DOCUMENTED, (words, code)
    assert "Traceback" not in err, (words, err)
    assert "Traceback" not in out, (words, out)
    if code == 0:
        return
    if code in (2, 3, 75):
        assert out == "", (words, out)
        assert err.strip(), words


@examples(40)
@given(command_lines())
def test_any_arguments_end_with_a_documented_exit_code(folder: Path, words: list[str]) -> None:
    if is_quick(words):
        check(words, *execute(folder, words))


@examples(40)
@given(sensible_command_lines())
def test_a_valid_command_with_any_options_ends_with_a_documented_exit_code(
    folder: Path, words: list[str]
) -> None:
    code, out, err = execute(folder, words)
    check(words, code, out, err)
    if code == 0 and "--json" in words and not {"-h", "--help", "--version"} & set(words):
        json.loads(out)


ODD_ARGUMENTS: list[list[str | bytes]] = [
    [],
    ["🎉", b"\xff"],
    ["status", "--store", b"\xff\xfe.duckdb"],
    ["run", b"\xff.py:x", "--store", "s.duckdb"],
    ["sql", "--store", "store.duckdb", b"SELECT '\xff'"],
    ["runs", "--store", "store.duckdb", "--where", b"\xff"],
    ["runs", "--store", "junk.duckdb"],
    ["show", "--store", "store.duckdb", "x" * 100_000],
    ["pause", "fuzz_pipeline.py:things", "--store", "store.duckdb", "--where", "true",
     "--reason", b"\xff"],
]  # fmt: skip


@pytest.mark.parametrize("words", ODD_ARGUMENTS, ids=range(len(ODD_ARGUMENTS)))
def test_odd_arguments_end_with_a_documented_exit_code(
    folder: Path, words: list[str | bytes]
) -> None:
    decoded = [os.fsdecode(word) for word in words]
    check(decoded, *execute(folder, decoded))


@pytest.mark.parametrize("words", ODD_ARGUMENTS[1:6:2], ids=[1, 3, 5])
def test_the_executable_ends_with_a_documented_exit_code(
    folder: Path, words: list[str | bytes]
) -> None:
    package = str(Path(batchflow.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "batchflow", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": package},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    check(words, done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace"))

"""Shards on the command line: one by its number, or all of a set."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import PARCELS, Command, document, parcels_csv

PATTERN = "night-{shard}.duckdb"


@pytest.fixture
def shards(tmp_path: Path, command: Command) -> Command:
    """Run two shards of thirty parcels, and return commands on both of them."""
    (tmp_path / "parcel_pipeline.py").write_text(PARCELS)
    parcels_csv(tmp_path, [*range(28), -1, -2])
    for shard in ("1/2", "2/2"):
        command(
            "run", "parcel_pipeline.py:parcels", "--store", PATTERN, "--shard", shard,
            "--load", "parcels.csv", "--foreign-id", "parcel_id", "--workers", 0,
        )  # fmt: skip

    def on_set(*arguments: object) -> object:
        return command(*arguments, BATCHFLOW_STORE="night-*.duckdb")

    return on_set  # type: ignore[return-value]


def test_commands_are_about_all_shards_of_a_set(shards: Command, tmp_path: Path) -> None:
    counts = {
        (r["status"], r["run_state"]): r["runs"] for r in document(shards("counts", "--json"))
    }
    assert sum(counts.values()) == 30
    assert counts["SENT", "COMPLETED"] == 27
    assert document(shards("counts", "--json", "--store", PATTERN)) == document(
        shards("status", "--json", "--store", ".")
    )
    assert "the scale shows -1" in shards("errors").stdout
    each = "SELECT count(*) AS n FROM parcels.runs"
    [row] = document(shards("sql", each, "--then", "SELECT sum(n)::INT AS n FROM shards", "--json"))
    assert row == {"n": 30}
    assert document(shards("pause", "--where", "true", "--json"))["changed"] == 1

    again = shards(
        "load", "parcels.csv", "parcels", "--foreign-id", "parcel_id", "--json", "--store", "."
    )
    assert (document(again)["loaded"], len(document(again)["skipped_files"])) == (0, 1)
    (tmp_path / "more.csv").write_text("parcel_id,weight\nq1,1\nq2,2\nq3,3\n")
    more = shards(
        "load", "more.csv", "parcel_pipeline.py:parcels", "--foreign-id", "parcel_id", "--json"
    )
    assert document(more)["loaded"] == 3

    assert document(shards("reshard", 3, "--json")) == {"shards_before": 2, "shards": 3}
    assert sum(row["runs"] for row in document(shards("counts", "--json"))) == 33


def test_what_is_no_shard_or_no_set_is_a_usage_error(command: Command, tmp_path: Path) -> None:
    (tmp_path / "parcel_pipeline.py").write_text(PARCELS)
    run = ("run", "parcel_pipeline.py:parcels", "--workers", 0, "--store")
    for arguments, message in [
        ((*run, PATTERN, "--shard", "9"), "'9' is no shard"),
        ((*run, PATTERN, "--shard", "3/2"), "'3/2' is no shard"),
        ((*run, PATTERN, "--shard", ""), "'' is no shard"),
        ((*run, PATTERN, "--shard", "1/2000"), "at most 1,000"),
        (("repair", "--store", PATTERN), "stands for the shards of a set"),
        ((*run, PATTERN), "such a path needs --shard"),
        ((*run, "night.duckdb", "--shard", "1/2"), "--shard 3/8 needs a path"),
        (("counts", "--store", "night-*.duckdb"), "'night-*.duckdb' does not exist"),
        (("counts", "--store", PATTERN), f"No file matches {PATTERN!r}"),
    ]:
        outcome = command(*arguments)
        assert (outcome.returncode, message in outcome.stderr) == (2, True), outcome.stderr
    assert command(*run, "alone.duckdb").returncode == 0
    (tmp_path / "none.csv").write_text("parcel_id,weight\n")
    new = ("load", "none.csv", "parcel_pipeline.py:parcels", "--store", "new[1].duckdb")
    assert command(*new, "--foreign-id", "parcel_id").returncode == 0
    many = command("reshard", 2000, "--store", "alone.duckdb", "--into", PATTERN)
    assert (many.returncode, "Give one from 1 to 1,000" in many.stderr) == (2, True)
    made = command("reshard", 2, "--store", "alone.duckdb", "--into", PATTERN, "--json")
    assert document(made) == {"shards_before": 1, "shards": 2}
    for arguments in (("reshard", 2), ("sql", "SELECT 1", "--then", "FROM shards")):
        outcome = command(*arguments, "--store", "alone.duckdb")
        assert outcome.returncode == 2, outcome.stderr

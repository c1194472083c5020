from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_line import (
    GATED,
    PARCELS,
    Command,
    Start,
    await_line,
    call,
    call_process,
    document,
    load_parcels,
    parcels_csv,
    run_parcels,
)

LOAD = ("--foreign-id", "parcel_id", "--json")


def test_a_load_executes_no_step_and_the_next_run_does(tmp_path: Path) -> None:
    (tmp_path / "parcel_pipeline.py").write_text(PARCELS)
    parcels_csv(tmp_path, [1, 2, 3])
    arguments = ("load", "parcels.csv", "parcel_pipeline.py:parcels", "--store", "parcels.duckdb")

    loaded = call_process(tmp_path, *arguments, *LOAD)
    again = call_process(tmp_path, *arguments, "--foreign-id", "parcel_id")

    assert loaded.returncode == 0, loaded.stderr
    assert (document(loaded)["loaded"], document(loaded)["files"][0]["inserted"]) == (3, 3)
    assert "0 runs loaded" in again.stdout
    assert "skipped: 1 file, already loaded ('parcels.csv' on " in again.stdout
    assert document(run_parcels(tmp_path, "--json"))["report"]["runs"] == 6


def test_several_files_are_loaded_by_the_name_of_the_workflow(
    tmp_path: Path, on_own_store: Command
) -> None:
    for name, weight in (("x", 4), ("y", -5)):
        (tmp_path / f"{name}.csv").write_text(f"parcel_id,weight\n{name},{weight}\n{name},9\n")

    loaded = on_own_store("load", "x.csv", "y.csv", "parcels", *LOAD)
    rejected = on_own_store("rejected", "--json")

    assert loaded.returncode == 0, loaded.stderr
    assert [file["rows"] for file in document(loaded)["files"]] == [2, 2]
    assert {(row["foreign_id"], row["source_row"]) for row in document(rejected)} == {
        ("x", 2),
        ("y", 2),
    }


def test_the_same_command_continues_and_executes_nothing_twice(tmp_path: Path) -> None:
    first = load_parcels(tmp_path, [1] * 9, "--limit", 3, "--json")
    second = load_parcels(tmp_path, [1] * 9, "--json")
    third = load_parcels(tmp_path, [1] * 9, "--json")

    assert first.returncode == 4
    assert [document(each)["load"]["loaded"] for each in (first, second, third)] == [9, 0, 0]
    executed = [document(each)["report"]["runs"] for each in (first, second, third)]
    assert (sum(executed), executed[2]) == (18, 0)


def test_an_empty_source_is_a_usage_error(tmp_path: Path, own_parcels: Path) -> None:
    store = ("--store", own_parcels)
    loaded = call(tmp_path, "load", "", "parcels", *store)
    (tmp_path / "parcel_pipeline.py").write_text(PARCELS)
    run = call_process(tmp_path, "run", "parcel_pipeline.py:parcels", *store, "--load", "")

    assert (loaded.returncode, run.returncode) == (2, 2)
    assert "A source is empty. Give the path or glob of files, or SQL." in loaded.stderr
    assert "--load is empty. Give the path or glob of files, or SQL." in run.stderr


def test_warnings_of_a_changed_file_and_of_rows_left_out_are_never_hidden(tmp_path: Path) -> None:
    (tmp_path / "parcel_pipeline.py").write_text(PARCELS)
    arguments = ("parcel_pipeline.py:parcels", "--store", "parcels.duckdb")
    parcels_csv(tmp_path, [-2])
    call(tmp_path, "load", "parcels.csv", *arguments, *LOAD)
    parcels_csv(tmp_path, [-2, 3])

    loaded = call(tmp_path, "load", "parcels.csv", *arguments, *LOAD)
    (tmp_path / "bad.csv").write_text("parcel_id,weight\nx,heavy\n")
    options = ("--load", "bad.csv", "--foreign-id", "parcel_id", "--on-invalid", "skip")
    run = call(tmp_path, "run", *arguments, "--workers", 0, *options, "--quiet")

    assert "Warning: parcels: changed: 1 file, loaded like a new one" in loaded.stderr
    assert "left out: 1 row, because the foreign id has an unfinished run" in loaded.stderr
    assert document(loaded)["conflict_reasons"] == {"unfinished": 1}
    assert "Warning: parcels: left out: 1 row of column 'weight'" in run.stderr


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a web server with the files of a folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "more.csv").write_text("name\nlate guest\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_run_loads_for_other_commands_from_the_urls_that_it_allows(
    tmp_path: Path, site: str, start: Start
) -> None:
    (tmp_path / "gated_pipeline.py").write_text(GATED)
    (tmp_path / "guests.csv").write_text("name\nguest\n")
    store = ("--store", "guests.duckdb", "--foreign-id", "name")
    process = start(
        "run", "gated_pipeline.py:guests", *store, "--load", "guests.csv", "--workers", 0,
        "--allow-url", "s3://bucket/night/", "--allow-url", site,
    )  # fmt: skip
    await_line(process, "at the gate")

    allowed = call(tmp_path, "load", f"{site}more.csv", "guests", *store)
    refused = call(tmp_path, "load", "s3://bucket/other/more.csv", "guests", *store)

    assert "1 run loaded" in allowed.stdout, allowed.stderr
    assert (refused.returncode, "batchflow run --allow-url" in refused.stderr) == (3, True)


def test_only_folders_of_urls_can_be_allowed(tmp_path: Path) -> None:
    refused = run_parcels(tmp_path, "--allow-url", "s3://bucket/a.csv")

    assert refused.returncode == 2
    assert "'s3://bucket/a.csv' isn't the URL of a folder." in refused.stderr

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import PARCELS, Command


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Usage"),
        (["fly"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "parcel_pipeline.py:parcels"], "--store"),
        (["run", "parcel_pipeline.py", "--store", "s.duckdb"], "names no workflow"),
        (["run", "parcel_pipeline.py:letters", "--store", "s.duckdb"], "workflows are: parcels"),
        (["run", "parcel_pipeline.py:Parcel", "--store", "s.duckdb"], "is of type type"),
        (["run", "missing.py:parcels", "--store", "s.duckdb"], "no file 'missing.py'"),
        (["run", "missing.module:parcels", "--store", "s.duckdb"], "no module 'missing'"),
        (["run", "sub/wave.py:parcels", "--store", "s.duckdb"], "same name as another module"),
        (
            ["run", "my-pipeline.py:parcels", "--store", "s.duckdb"],
            "isn't the file name",
        ),
        (["run", "parcel_pipeline.py:parcels", "--store", "s.duckdb", "--at", "NEW"], "--load"),
        (["run", "parcel_pipeline.py:parcels", "--store", "s", "--until", "soon"], "isn't a time"),
        (["status", "--store", "missing.duckdb"], "does not exist"),
        (["load", "a.csv", "--store", "s.duckdb"], "batchflow load a.csv WORKFLOW"),
    ],
)
def test_an_invalid_command_line_exits_with_2_and_the_reason(
    tmp_path: Path, command: Command, arguments: list[str], expected: str
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("parcel_pipeline.py", "sub/wave.py", "my-pipeline.py"):
        (tmp_path / name).write_text(PARCELS)
    outcome = command(*arguments)
    assert outcome.returncode == 2, outcome.stderr
    assert expected in outcome.stderr
    assert outcome.stdout == ""
    assert not list(tmp_path.glob("*.duckdb"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def broken():\n    return 1 / 0\n\n\nbroken()\n", "ZeroDivisionError"),
        ("names = (\n", "SyntaxError"),
        ("import a_missing_module\n", "ModuleNotFoundError"),
        ("raise SystemExit(0)\n", "SystemExit"),
    ],
)
def test_the_traceback_of_an_error_in_user_code_begins_there(
    tmp_path: Path, command: Command, code: str, expected: str
) -> None:
    (tmp_path / "wrong_pipeline.py").write_text(code)
    outcome = command("diagram", "wrong_pipeline.py:orders")
    assert outcome.returncode == 3
    assert expected in outcome.stderr
    assert "wrong_pipeline.py" in outcome.stderr
    assert "importlib" not in outcome.stderr
    assert "batchflow/cli" not in outcome.stderr


def test_an_invalid_definition_exits_with_3_and_its_problems(
    tmp_path: Path, command: Command
) -> None:
    unreachable = "parcels.sql_step(ParcelStatus.SENT, to=[ParcelStatus.SENT], set={'size': '1'})"
    (tmp_path / "wrong_pipeline.py").write_text(f"{PARCELS}\n{unreachable}\n")
    outcome = command("run", "wrong_pipeline.py:parcels", "--store", "s.duckdb")
    assert outcome.returncode == 3
    assert "size" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_help_documents_every_exit_code(command: Command) -> None:
    outcome = command("--help")
    assert outcome.returncode == 0
    for code in ("0 ", "1 ", "2 ", "3 ", "75 ", "130 ", "143"):
        assert f"  {code}" in outcome.stdout or f" {code}:" in outcome.stdout


def test_the_version_is_that_of_the_package(command: Command) -> None:
    import batchflow

    assert batchflow.__version__ in command("--version").stdout


def test_a_workflow_is_drawn_without_a_store(
    parcels_folder: Path, on_shared_store: Command
) -> None:
    outcome = on_shared_store("diagram", "parcel_pipeline.py:parcels")
    assert outcome.stdout.startswith("stateDiagram-v2")
    assert "NEW --> CHECKED" in outcome.stdout


def test_a_workflow_is_drawn_as_svg(parcels_folder: Path, on_shared_store: Command) -> None:
    drawn = on_shared_store("diagram", "parcel_pipeline.py:parcels", "--svg").stdout
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "CHECKED" in "".join(root.itertext())


def test_an_svg_has_only_one_workflow(tmp_path: Path, command: Command) -> None:
    (tmp_path / "pipelines.py").write_text(
        f"{PARCELS}\nletters = bf.Workflow('letters', Parcel, ParcelStatus)\n"
        "letters.add_step(ParcelStatus.NEW, check, ParcelStatus.SENT)\n"
    )
    outcome = command("diagram", "pipelines.py:parcels,letters", "--svg")
    assert outcome.returncode == 2
    assert "--svg draws one workflow" in outcome.stderr

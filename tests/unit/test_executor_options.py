"""The options of a command choose its executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

import batchflow as bf
from batchflow.cli.executor_options import ExecutorChoice, executor_options


def chosen(*arguments: str) -> Any:
    @click.command()
    @executor_options
    def command(**options: Any) -> Any:
        return ExecutorChoice.taken_from(options).factory()

    return command.main(list(arguments), standalone_mode=False)


def test_processes_are_the_default() -> None:
    assert chosen("--workers", "3") == bf.ProcessPool(3)
    assert chosen("--workers", "0") == bf.Inline()


def test_ray_is_chosen_with_its_settings(tmp_path: Path) -> None:
    assert chosen("--executor", "ray") == bf.RayExecutor()
    assert chosen(
        "--executor", "ray", "--ray-address", "head:6379", "--nodes", "2-5", "--workers", "4",
        "--send-code", str(tmp_path),
    ) == bf.RayExecutor(
        address="head:6379", nodes=(2, 5), workers=4, runtime_env={"working_dir": str(tmp_path)}
    )  # fmt: skip
    assert chosen("--executor", "ray", "--nodes", "2") == bf.RayExecutor(nodes=(2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "2"], "need --executor ray"),
        (["--executor", "ray", "--workers", "0"], "in this process"),
        (["--executor", "ray", "--nodes", "many"], "no number of nodes"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        chosen(*arguments)


@pytest.mark.parametrize(
    "settings",
    [
        {"nodes": (2, 1)},
        {"nodes": 0},
        {"nodes": True},
        {"nodes": "2"},
        {"workers": 0},
        {"idle_seconds": -1.0},
        {"address": "ray://head:10001"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(bf.InvalidOptionError, match="RayExecutor's"):
        bf.RayExecutor(**settings)

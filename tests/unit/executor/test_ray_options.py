"""Wrong settings of the executor for Ray are refused before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

import batchflow as bf

WRONG: list[dict[str, Any]] = [
    {"address": 5},
    {"address": ""},
    {"address": "ray://head:10001"},
    {"nodes": (2, 1)},
    {"nodes": "8"},
    {"workers": 0},
    {"idle_seconds": None},
    {"idle_seconds": "x"},
    {"wait_seconds": "x"},
    {"wait_seconds": -1},
    {"runtime_env": "x"},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_a_wrong_setting_is_named(options: dict[str, Any]) -> None:
    [name] = options
    with pytest.raises(bf.InvalidOptionError, match=f"RayExecutor's {name} is "):
        bf.RayExecutor(**options)


def test_a_drain_may_wait_without_a_limit() -> None:
    assert bf.RayExecutor(wait_seconds=None).wait_seconds is None

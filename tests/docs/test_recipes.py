"""The recipes for clusters parse: as Python, as scripts of a shell and as YAML."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "ray.md").read_text(encoding="utf-8")
RECIPES = TEXT.split("## Recipes", 1)[1]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", RECIPES, re.DOTALL)
    assert found, f"There is no recipe in {language} any more."
    return found


@pytest.mark.parametrize("script", blocks("sh"))
def test_a_script_of_a_recipe_is_one_for_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("code", blocks("py"))
def test_code_of_a_recipe_is_python(code: str) -> None:
    ast.parse(code)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_resource_of_a_recipe_is_a_ray_cluster(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    cluster = yaml.safe_load(text)
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert [*cluster["spec"]] == [
        *("enableInTreeAutoscaling", "rayVersion", "authOptions"),
        *("headGroupSpec", "workerGroupSpecs"),
    ]

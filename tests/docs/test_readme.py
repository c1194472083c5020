"""Each Python example of the README and of docs/ runs, in order, exactly as printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from batchflow.cli import main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


PAGES = [page for page in sorted(ROOT.glob("docs/*.md")) if python_blocks(page)]


def output_of(blocks: list[str], folder: Path) -> str:
    """Run the blocks as a user would: as a plain script, with no guard around what it starts."""
    script = folder / "pipeline.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("pandas_in_children")
def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    blocks = python_blocks(README)
    assert len(blocks) == 4
    assert "FULFILLED" in output_of(blocks, tmp_path)


def test_the_commands_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline, source, *_ = python_blocks(README)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text(pipeline, encoding="utf-8")
    exec(source, {})

    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for line in "".join(blocks).splitlines() if line.startswith("batchflow ")]
    assert len(lines) == 6
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert "FULFILLED" in capsys.readouterr().out


@pytest.mark.usefixtures("pandas_in_children")
def test_the_examples_of_each_page_run(tmp_path: Path) -> None:
    # Each page continues the README's pipeline.py and its orders.parquet, and sees no other page.
    # One process runs them all, as starting it takes longer than most examples.
    beginning = "\n".join(python_blocks(README)[:2])
    pages = {f"{page.stem}.md": "\n".join(python_blocks(page)) for page in PAGES}
    script = f"""
import os, shutil
beginning = {{"__name__": "__main__"}}
exec({beginning!r}, beginning)
for page, code in {pages!r}.items():
    os.mkdir(page)
    shutil.copy("orders.parquet", page)
    os.chdir(page)
    exec(compile(code, page, "exec"), dict(beginning))
    os.chdir("..")
    print(page)
"""
    assert output_of([script], tmp_path).split()[-1] == [*pages][-1]


def test_the_pages_with_examples_are_found() -> None:
    assert {"executors", "loading", "operations", "queries", "steps", "testing"} <= {
        page.stem for page in PAGES
    }

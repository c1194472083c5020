"""Each notebook runs from top to bottom, as plain Python, and says what it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def output_of(name: str, folder: Path) -> str:
    cells = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    script = folder / "notebook.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_workflow_runs(tmp_path: Path) -> None:
    output = output_of("first_workflow.ipynb", tmp_path)

    assert "100,000 runs loaded at ARRIVED" in output
    assert "Moved(moved=3, refused=0)" in output
    assert "no such country" in output
    assert "label='CH-P42'" in output


def test_every_notebook_is_tested() -> None:
    assert [path.name for path in NOTEBOOKS.glob("*.ipynb")] == ["first_workflow.ipynb"]

"""The public API is type-checked as in a user's project: strictly, outside the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import batchflow

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"


def test_users_files_pass_a_strict_type_check(tmp_path: Path) -> None:
    shutil.copy(HERE / "public_api.py", tmp_path)
    (tmp_path / "readme.py").write_text(first_example_of_the_readme(), encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = True\nwarn_unreachable = True\n"
        # These ship no types.
        "[mypy-pyarrow.*]\nignore_missing_imports = True\n"
    )

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "."],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": mypy_path()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def first_example_of_the_readme() -> str:
    text = README.read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


def mypy_path() -> str:
    """Return where mypy finds the package if it isn't installed as a wheel."""
    home = Path(batchflow.__file__).parents[1]
    return "" if home.name == "site-packages" else str(home)

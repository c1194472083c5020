"""Each Python example of the README runs, in order, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb

README = Path(__file__).parents[2] / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_every_example_runs(tmp_path: Path) -> None:
    blocks = python_blocks()
    assert len(blocks) >= 5
    duckdb.sql(
        "SELECT 'order-' || i AS order_id, i * 1.5 AS subtotal, i % 4 AS items, "
        "CASE i % 10 WHEN 0 THEN 'invalid' ELSE 'card' END AS method FROM range(2000) t(i)"
    ).write_parquet(str(tmp_path / "orders-1.parquet"))
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))

    # As a user would: a plain script, with no guard around what it starts.
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "FULFILLED" in done.stdout

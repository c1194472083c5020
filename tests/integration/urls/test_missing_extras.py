"""Without the package of an extra, whatever needs it names the package and the extra."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import batchflow

# One process does all of it, in an environment with the core dependencies only.
USE_EXTRAS = """
import json, sys
sys.path[:0] = sys.argv[1:]
import batchflow as bf
from kit.things import load, things

messages = {}

def attempt(name, action):
    try:
        action()
    except Exception as error:
        messages[name] = f"{type(error).__name__}: {error}"

database = "postgresql://me:secret@host/shop"
with bf.Engine(":memory:", things(), workers=0) as engine:
    load(engine, 1)
    engine.run()
    attempt("ray", lambda: bf.Engine(":memory:", things(), executor=bf.RayExecutor()))
    for scheme in ("s3", "gs", "az", "https", "sftp"):
        attempt(scheme, lambda: engine.trigger_many(f"{scheme}://place/a.csv"))
    attempt("export", lambda: engine.export("s3://place/out.parquet"))
    attempt("hand-over", lambda: engine.export("gs://place/out/", since="nightly"))
    query = bf.sources.query(database, "SELECT 1 AS number")
    attempt("source", lambda: engine.trigger_many(query, foreign_id="number"))
    attempt("table", lambda: engine.export(database, table="things"))
    attempt("pandas", lambda: engine.runs().df())
    attempt("polars", lambda: engine.runs().pl())
    attempt("plot", lambda: engine.counts().plot())
print(json.dumps(messages))
"""
EXPECTED = {
    "ray": "DefinitionError: RayExecutor needs the package ray, which isn't installed. Install it: "
    "pip install 'batchflow-engine[ray]'.",
    "s3": "SourceError: 's3://place/a.csv' needs the package s3fs. Install it: "
    "pip install 'batchflow-engine[s3]'.",
    "gs": "SourceError: 'gs://place/a.csv' needs the package gcsfs. Install it: "
    "pip install 'batchflow-engine[gcs]'.",
    "az": "SourceError: 'az://place/a.csv' needs the package adlfs. Install it: "
    "pip install 'batchflow-engine[azure]'.",
    "https": "SourceError: 'https://place/a.csv' needs a package that isn't installed. Install it: "
    "pip install 'fsspec[http]'.",
    "sftp": "SourceError: 'sftp://place/a.csv' needs a package that isn't installed. Install it: "
    "pip install 'fsspec[sftp]'.",
    "export": "ExportError: 's3://place/out.parquet' needs the package s3fs. Install it: "
    "pip install 'batchflow-engine[s3]'.",
    "hand-over": "ExportError: 'gs://place/out/000000000000-000000000001' needs the package "
    "gcsfs. Install it: pip install 'batchflow-engine[gcs]'.",
    "source": "SourceError: 'postgresql://***@host/shop' needs the package adbc-driver-postgresql. "
    "Install it: pip install 'batchflow-engine[postgres]'.",
    "table": "ExportError: 'postgresql://***@host/shop' needs the package adbc-driver-postgresql. "
    "Install it: pip install 'batchflow-engine[postgres]'.",
    "pandas": "ImportError: df() needs pandas, which isn't installed. Install it with: "
    "pip install pandas",
    "polars": "ImportError: pl() needs polars, which isn't installed. Install it with: "
    "pip install polars",
    "plot": "PlotError: Plots need matplotlib, which isn't installed. Run: pip install matplotlib",
}


@pytest.fixture
def core_only(tmp_path: Path) -> Path:
    """Return a folder with the packages that batchflow always needs, and no others."""
    for requirement in importlib.metadata.requires("batchflow-engine") or ():
        name, _, condition = re.sub(r"^([\w.-]+).*?(;.*)?$", r"\1|\2", requirement).partition("|")
        if "extra ==" in condition:
            continue
        for file in importlib.metadata.files(name) or ():
            top, link = file.parts[0], tmp_path / file.parts[0]
            if top != ".." and not link.exists():
                link.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return tmp_path


def test_what_needs_an_extra_names_it_if_it_is_not_installed(core_only: Path) -> None:
    package, tests = Path(batchflow.__file__).parents[1], Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", USE_EXTRAS, package, tests, core_only],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED

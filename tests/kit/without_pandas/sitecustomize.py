"""Python imports this first in each process that has this folder on its PYTHONPATH.

PyArrow imports pandas wherever it is installed, which costs each process 0.3 s.
"""

from __future__ import annotations

import sys


class _NoPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError("This process of the tests does without pandas.")


sys.meta_path.insert(0, _NoPandas)

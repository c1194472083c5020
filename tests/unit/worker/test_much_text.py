"""A text that is too long fails its run; texts that are too many together take turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from step_harness import Execute, Status, items

from batchflow.columns.size_limits import MAX_BYTES_PER_COLUMN, MAX_BYTES_PER_VALUE

LONG = "x" * MAX_BYTES_PER_VALUE
TOO_LONG = LONG + "x"


@pytest.mark.parametrize("make", [list, "objects", pa.array, pa.chunked_array, None])
def test_a_text_that_is_too_long_fails_only_its_run(execute: Execute, make: Any) -> None:
    def by_row(run: Any) -> Any:
        run.object.name = TOO_LONG if run.object.count == 1 else "short"
        return Status.DONE

    def by_batch(batch: Any) -> Any:
        texts = [TOO_LONG if count == 1 else "short" for count in batch["count"]]
        batch["name"] = (
            np.array(texts, object)
            if make == "objects"
            else make([texts])
            if make is pa.chunked_array
            else make(texts)
        )
        return Status.DONE

    done = execute(by_batch if make else by_row, items(3), batch=make is not None)
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert done.change("name") == ["short", "-", "short"]
    kind, message = done.failures[1]
    assert kind == "InvalidObject"
    assert "67,108,865 bytes (the maximum is 67,108,864) in field 'name'" in message


@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_runs_with_too_much_text_together_are_returned(execute: Execute, batch: bool) -> None:
    def by_row(run: Any) -> Any:
        run.object.name = LONG
        return Status.DONE

    def by_batch(batch: Any) -> Any:
        if len(batch) > 3:
            raise MemoryError
        batch["name"] = [LONG] * len(batch)
        return Status.DONE

    runs = MAX_BYTES_PER_COLUMN // MAX_BYTES_PER_VALUE + 1
    done = execute(by_batch if batch else by_row, items(runs), batch=batch)
    assert done.outcomes == ["ADVANCED"] * (runs // 2) + ["RETURNED"] * (runs - runs // 2)
    assert [len(text) for text in done.change("name")[: runs // 2]] == [len(LONG)] * (runs // 2)
    assert len(done.result.changes["name"].values) == runs


def test_one_run_with_too_much_text_fails_alone(execute: Execute) -> None:
    def step(run: Any) -> Any:
        many = MAX_BYTES_PER_COLUMN // MAX_BYTES_PER_VALUE + 1
        run.object.tags = [LONG] * many if run.object.count == 1 else ["a"]
        return Status.DONE

    seen: dict[int, str] = {}
    for first in range(3):
        done = execute(step, items(3)[first:])
        seen |= {first + row: outcome for row, outcome in enumerate(done.outcomes[:1])}
    assert seen == {0: "ADVANCED", 1: "FAILED", 2: "ADVANCED"}

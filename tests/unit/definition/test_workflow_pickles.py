from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

import batchflow

MAIN = """
import enum, sys
from dataclasses import dataclass, field
import cloudpickle
import batchflow.definition as bf

class Colour(enum.Enum):
    RED = 1

class Status(enum.Enum):
    NEW = "new"
    DONE = "done"

@dataclass
class Part:
    weight: float

@dataclass
class Thing:
    count: int
    colour: Colour | None = None
    parts: list[Part] = field(default_factory=list)

things = bf.Workflow("things", Thing, Status, retry=bf.Retry(jitter=0))

@things.step(Status.NEW, to=Status.DONE)
def finish(thing):
    thing.parts.append(Part(1.5))
    return Status.DONE

if sys.argv[1:] == ["checked"]:
    things.check()
sys.stdout.buffer.write(cloudpickle.dumps(things))
"""

WORKER = """
import dataclasses, sys
import cloudpickle
from batchflow.errors import DefinitionError

things = cloudpickle.loads(sys.stdin.buffer.read())
things.check()
step = things.steps[0]
thing = things.object_type(3)
status = step.function(thing)

assert status is things.statuses[1] and things.code_of(status) == 1
assert [field.required for field in things.fields] == [True, False, False]
assert things.field("parts").default_value() == []
assert things.field("parts").type.child("item").python is type(thing.parts[0])
assert things.field("colour").type.python.RED.name == "RED"
assert dataclasses.replace(thing, count=4).count == 4
assert step.options.retry.named == {"jitter": 0}
assert list(things.rank) == [0, 1]
try:
    things.add_step(status, print, status)
except DefinitionError:
    print("whole and frozen")
"""


def python(code: str, *args: str, sent: bytes = b"") -> bytes:
    root = str(Path(batchflow.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        input=sent,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("when", ["checked", "unchecked"])
def test_a_workflow_of_main_works_in_another_process(when: str) -> None:
    assert python(WORKER, sent=python(MAIN, when)).strip() == b"whole and frozen"


def test_a_pickled_workflow_is_unchanged(orders) -> None:
    orders.check()

    other = cloudpickle.loads(cloudpickle.dumps(orders))

    assert repr(other) == repr(orders) == "<Workflow 'orders': 6 statuses, 3 steps>"
    assert other.fields == orders.fields
    assert other.mermaid() == orders.mermaid()
    assert [step.options for step in other.steps.values()] == [
        step.options for step in orders.steps.values()
    ]

from __future__ import annotations

import contextvars
import functools
import linecache
import pickletools
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

from batchflow.definition.retry import Retry
from batchflow.executor.code_pickler import dumped
from batchflow.worker.code_loading import unpickled_workflows
from batchflow.worker.failure import Failure, FailureRecorder


def sent(code: object) -> Any:
    """Return what a worker loads."""
    return unpickled_workflows(dumped(code))


@pytest.fixture
def script() -> Iterator[types.ModuleType]:
    """Return the main module of a process that multiprocessing spawned."""
    module = types.ModuleType("__mp_main__")
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


def defined(script: types.ModuleType, source: str, name: str) -> Any:
    exec(compile(source, "/tmp/no_such_cell.py", "exec"), script.__dict__)
    return script.__dict__[name]


def test_the_main_script_of_a_spawned_process_crosses_by_value(script: types.ModuleType) -> None:
    code = dumped(defined(script, "RATE = 2\ndef double(n): return n * RATE", "double"))
    del sys.modules[script.__name__]
    loaded: Any = unpickled_workflows(code)
    assert loaded(4) == 8


def test_what_scripts_define_beside_their_functions_crosses(script: types.ModuleType) -> None:
    @functools.lru_cache(maxsize=7)
    def rate(currency: str) -> float:
        return 1.5

    @functools.singledispatch
    def described(value: object) -> str:
        return "any"

    described.register(int, lambda value: "int")

    class Order:
        @functools.cached_property
        def total(self) -> int:
            return 3

    lock, guard, kept = threading.Lock(), threading.RLock(), threading.local()

    def step() -> tuple[object, ...]:
        with lock, guard:
            kept.value = 1
            return rate("EUR"), rate.cache_parameters()["maxsize"], described(1), Order().total

    assert sent(step)() == (1.5, 7, "int", 3)


def test_a_context_variable_stays_one_variable_and_keeps_its_default() -> None:
    variable = contextvars.ContextVar("variable", default=1)
    bare: contextvars.ContextVar[int] = contextvars.ContextVar("bare")
    variable.set(2)
    one, other, without = sent([variable, variable, bare])
    assert one is other
    assert (one.name, one.get()) == ("variable", 1)
    with pytest.raises(LookupError):
        without.get()


def test_workers_import_nothing_of_the_engine_for_code_that_crosses_by_value() -> None:
    @functools.cache
    def rate(currency: str) -> float:
        return 1.5

    variable = contextvars.ContextVar("variable", default="EUR")
    _, pickled = cloudpickle.loads(dumped(lambda run: rate(variable.get())))
    texts = (text for _, text, _ in pickletools.genops(pickled) if isinstance(text, str))
    assert {text for text in texts if text.startswith("batchflow.")} == {
        "batchflow.worker.code_loading"
    }


def test_the_source_of_a_notebooks_cell_comes_with_its_code(script: types.ModuleType) -> None:
    name, lines = "/tmp/no_such_cell.py", ["def fail():\n", "    return 1 / 0  # here\n"]
    linecache.cache[name] = (len("".join(lines)), None, lines, name)
    code = dumped(defined(script, "".join(lines), "fail"))
    del linecache.cache[name]
    try:
        unpickled_workflows(code)
        assert linecache.getline(name, 2) == lines[1]
    finally:
        linecache.cache.pop(name, None)


def failure(step: Any) -> Failure:
    """Return the record of what a step raises."""
    try:
        step()
    except Exception as error:
        return FailureRecorder(Retry()).record(error)
    raise AssertionError("It raises nothing.")


def test_a_failure_of_a_function_within_a_function_is_recorded_as_where_it_was_written() -> None:
    class Refused(Exception):
        """Is raised by the step's helper."""

    def helper() -> None:
        raise Refused("no")

    def step() -> None:
        [helper() for _ in range(1)]

    here = failure(step)
    assert failure(sent(step)) == here
    assert here.type.endswith("<locals>.Refused")
    assert f'File "{__file__}"' in here.traceback
    assert 'raise Refused("no")' in here.traceback


def test_a_class_keeps_its_whole_name(script: types.ModuleType) -> None:
    nested = defined(script, "class Outer:\n    class Inner:\n        pass\n", "Outer").Inner
    assert sent(nested).__qualname__ == "Outer.Inner"

"""Exceptions that are hard to record, each raised by its own function."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import json
from collections.abc import Callable
from typing import Any, NoReturn

from strange_exception_classes import (
    EndlessStr,
    ExitingStr,
    FalseCause,
    Falsy,
    HostileText,
    HostileTextStr,
    NoStr,
    NumberedClass,
    RaisingStr,
    SecretiveClass,
    SecretiveInstance,
    Strange,
    TwoArguments,
    Unpicklable,
)

Raiser = Callable[[], NoReturn]

RAISERS: dict[str, Raiser] = {}


def strange(function: Raiser) -> Raiser:
    RAISERS[function.__name__] = function
    return function


def of(name: str, error: Callable[[], BaseException]) -> None:
    def raise_it() -> NoReturn:
        raise error()

    RAISERS[name] = raise_it


of("two_arguments", lambda: TwoArguments("a", "b"))
of("unpicklable", Unpicklable)
of("raising_str", RaisingStr)
of("exiting_str", ExitingStr)
of("endless_str", EndlessStr)
of("no_str", NoStr)
of("hostile_text", HostileTextStr)
of("hostile_text_as_argument", lambda: ValueError(HostileText("hostile")))
of("secretive_class", SecretiveClass)
of("numbered_class", NumberedClass)
of("secretive_instance", SecretiveInstance)
of("false_cause", FalseCause)
of("long_message", lambda: ValueError("x" * 1_000_000))
of("surrogates", lambda: ValueError("\ud800\udfff" * 3_000))
of("nul", lambda: ValueError("\0 nul \0"))
of("bytes", lambda: ValueError(b"\xff" * 10_000))
of("long_name", lambda: type("L" * 1_000_000, (Exception,), {})("long"))
of("surrogate_name", type("S", (Exception,), {"__qualname__": "S.\udfff"}))
of("nul_name", type("N", (Exception,), {"__qualname__": "N\0"}))
of("odd_module", type("Odd", (Exception,), {"__module__": 5}))
of("no_name", lambda: type("", (Exception,), {})("no name"))
of("system_exit", lambda: SystemExit(0))
of("system_exit_of_an_object", lambda: SystemExit(object()))
of("keyboard_interrupt", KeyboardInterrupt)
of("generator_exit", GeneratorExit)
of("stop_iteration", lambda: StopIteration(5))
of("stop_async_iteration", StopAsyncIteration)
of("cancelled", asyncio.CancelledError)
of("future_cancelled", concurrent.futures.CancelledError)
of("timeout", TimeoutError)
of("broken_pipe", BrokenPipeError)
of("memory", MemoryError)
of("assertion", AssertionError)
of("warning", lambda: UserWarning("as an error"))
of("unicode", lambda: UnicodeDecodeError("utf-8", b"\xff" * 100_000, 0, 1, "bad"))
of("syntax", lambda: SyntaxError("bad", ("\0", 10**9, -5, "\ud800" * 5_000)))
of("base", lambda: BaseException("base"))
of("key", lambda: KeyError("\ud800"))
of("os_error", lambda: OSError(2, "\ud800", "\0"))


@strange
def exception_group() -> NoReturn:
    raise BaseExceptionGroup("group", [ValueError("a"), KeyboardInterrupt(), SystemExit(2)])


@strange
def deep_group() -> NoReturn:
    group: Exception = ValueError("innermost")
    for depth in range(5_000):
        group = ExceptionGroup(f"at {depth}", [group])
    raise group


@strange
def broad_group() -> NoReturn:
    raise ExceptionGroup("g" * 100_000, [ValueError(number) for number in range(10_000)])


@strange
def recursion() -> NoReturn:
    recursion()
    raise AssertionError


@strange
def recursion_of_two() -> NoReturn:
    def one() -> None:
        two()

    def two() -> None:
        one()

    one()
    raise AssertionError


@strange
def recursion_in_native_code() -> NoReturn:
    json.loads("[" * 200_000)
    raise AssertionError


@strange
def recursion_in_repr() -> NoReturn:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    try:
        repr(nested)
    finally:
        # It is freed level by level, because freeing it at once would need as deep a stack.
        while nested:
            nested = nested.pop()
    raise AssertionError


@strange
def recursion_while_handling() -> NoReturn:
    try:
        recursion()
    except RecursionError:
        recursion()
    raise AssertionError


@strange
def real_memory_error() -> NoReturn:
    bytearray(2**62)
    raise AssertionError


@strange
def cycle_of_causes() -> NoReturn:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


@strange
def cycle_of_contexts() -> NoReturn:
    one, two, three = ValueError("one"), ValueError("two"), ValueError("three")
    one.__context__, two.__context__, three.__context__ = two, three, two
    raise one


@strange
def its_own_cause() -> NoReturn:
    error = ValueError("me")
    error.__cause__ = error
    raise error


@strange
def long_chain() -> NoReturn:
    error = ValueError("first")
    for number in range(3_000):
        following = ValueError(str(number) * 100)
        following.__cause__ = error
        error = following
    raise error


@strange
def false_cause_of_another() -> NoReturn:
    raise ValueError("outer") from Falsy("inner")


@strange
def strange_cause_of_another() -> NoReturn:
    raise ValueError("outer") from SecretiveInstance()


@strange
def secretive_cause() -> NoReturn:
    raise ValueError("outer") from SecretiveClass()


@strange
def no_exception() -> NoReturn:
    raise 5  # type: ignore[misc]  # noqa: B016


@strange
def strange_no_exception() -> NoReturn:
    raise Strange  # type: ignore[misc]


def misplaced(**facts: str) -> NoReturn:
    """Raise from code with false facts about itself."""

    def nowhere() -> NoReturn:
        raise ValueError("nowhere")

    nowhere.__code__ = nowhere.__code__.replace(**facts)  # type: ignore[arg-type]
    nowhere()
    raise AssertionError


@strange
def nul_in_file_name() -> NoReturn:
    misplaced(co_filename="no\0where")


@strange
def surrogates_in_file_name() -> NoReturn:
    misplaced(co_filename="\ud800" * 50_000)


@strange
def surrogates_in_function_name() -> NoReturn:
    misplaced(co_name="\ud800" * 50_000, co_qualname="\0")


@strange
def folder_as_file_name() -> NoReturn:
    exec(compile("raise ValueError('in a folder')", "/", "exec"))
    raise AssertionError


@strange
def very_long_line() -> NoReturn:
    source = f"x = '{'y' * 100_000}'; raise ValueError('far right')"
    exec(compile(source, "<generated>", "exec"))
    raise AssertionError


@strange
def many_notes() -> NoReturn:
    error = ValueError("noted")
    for _ in range(1_000):
        error.add_note("n" * 1_000)
    raise error


@strange
def strange_notes() -> NoReturn:
    error = ValueError("noted")
    error.__notes__ = 5  # type: ignore[assignment]
    raise error


@strange
def raised_within_a_finally() -> NoReturn:
    try:
        raise ValueError("first")
    finally:
        raise SystemExit("last")


@strange
def holds_much() -> NoReturn:
    much = collections.deque([bytes(1_000)] * 10_000)
    raise ValueError(len(much), much)


@strange
def raising_len_of_arguments() -> NoReturn:
    class Args(list[Any]):
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    raise ValueError(Args())

"""Exception classes that lie about themselves, or raise when they are inspected."""

from __future__ import annotations

import threading
from typing import Any, NoReturn


class TwoArguments(Exception):
    """Break every pool that unpickles it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__(threading.Lock(), lambda: None)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise RuntimeError("not to be pickled")


class RaisingStr(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


class ExitingStr(Exception):
    def __str__(self) -> str:
        raise SystemExit(5)


class EndlessStr(Exception):
    def __str__(self) -> str:
        return str(self)


class NoStr(Exception):
    def __str__(self) -> Any:
        return 5  # noqa: PLE0307 - as a step may have it

    __repr__ = __str__


class HostileText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("not to be shown")

    def encode(self, *_: Any) -> Any:
        return self

    def __len__(self) -> int:
        return 3

    def __getitem__(self, _: Any) -> Any:
        raise RuntimeError("not to be cut")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


class HostileTextStr(Exception):
    def __str__(self) -> str:
        return HostileText("hostile")


class RaisingMeta(type):
    """A class whose attributes all raise."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError("ask me nothing")

    def __hash__(cls) -> int:
        raise RuntimeError("no key")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("not to be compared")

    def __repr__(cls) -> str:
        raise RuntimeError("not to be shown")

    def __instancecheck__(cls, one: object) -> bool:
        raise RuntimeError("not to be asked")


class SecretiveClass(Exception, metaclass=RaisingMeta):
    pass


class NumberedMeta(type):
    """A class whose attributes are all numbers."""

    def __getattribute__(cls, name: str) -> Any:
        return 5


class NumberedClass(Exception, metaclass=NumberedMeta):
    pass


class SecretiveInstance(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("ask me nothing")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    def __hash__(self) -> int:
        raise RuntimeError("no key")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


class FalseCause(Exception):
    __cause__ = 5  # type: ignore[assignment]
    __context__ = "five"  # type: ignore[assignment]
    __suppress_context__ = False
    __traceback__ = ()  # type: ignore[assignment]


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False


class Strange:
    """Claim to be an exception."""

    __class__ = ValueError  # type: ignore[assignment]

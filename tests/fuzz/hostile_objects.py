"""Objects that raise when they are inspected, or that lie about themselves."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("ask me nothing")


class Hostile:
    """Raise from every method."""

    __getattribute__ = __eq__ = __len__ = __getitem__ = __iter__ = refuse
    __bool__ = __repr__ = __float__ = __index__ = __hash__ = refuse  # type: ignore[assignment]


class HostileMeta(type):
    __getattribute__ = __eq__ = __instancecheck__ = refuse
    __hash__ = __repr__ = refuse  # type: ignore[assignment]


class OfHostileClass(metaclass=HostileMeta):
    pass


def liar(claimed: type) -> type:
    """Return a class whose instances claim to be of another class."""
    return type(f"Liar{claimed.__name__}", (), {"__class__": claimed})


LIARS = [
    liar(claimed)
    for claimed in (
        *(bool, int, float, str, bytes, list, dict, enum.Enum, type(None)),
        *(datetime.date, datetime.datetime, datetime.timedelta, decimal.Decimal, uuid.UUID),
        *(np.ndarray, np.integer, pa.Array, pa.ChunkedArray, pa.Scalar),
    )
]


class EndlessLength:
    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, _: int) -> str:
        return "DONE"


class NegativeLength(EndlessLength):
    def __len__(self) -> int:
        return -1  # noqa: PLE0303 - as a step may have it


class OnADevice:
    """Claim to be an array, but raise when it is read."""

    __array_interface__ = property(refuse)
    __cuda_array_interface__ = property(refuse)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __dlpack__(self, **_: Any) -> NoReturn:
        raise BufferError("the array is on another device")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class HalfAnArrowArray:
    __arrow_c_array__ = refuse


class NoArrowStream:
    def __arrow_c_stream__(self, *_: Any) -> int:
        return 5


class HostileText(str):
    __slots__ = ()
    __eq__ = encode = __len__ = __iter__ = refuse  # type: ignore[assignment]
    __hash__ = __str__ = refuse  # type: ignore[assignment]


class HostileInt(int):  # noqa: PLW1641 - it has one that raises
    __eq__ = refuse  # type: ignore[assignment]
    __hash__ = __int__ = __index__ = __float__ = refuse  # type: ignore[assignment]


class HostileFloat(float):  # noqa: PLW1641 - it has one that raises
    __eq__ = refuse
    __hash__ = __float__ = refuse  # type: ignore[assignment]


class HostileList(list[Any]):
    __iter__ = __getitem__ = __eq__ = __hash__ = refuse  # type: ignore[assignment]

    def __len__(self) -> int:
        return 7


class HostileDict(dict[Any, Any]):
    items = values = keys = __iter__ = __eq__ = __hash__ = refuse  # type: ignore[assignment]


class HostileDatetime(datetime.datetime):
    date = time = utcoffset = __eq__ = refuse  # type: ignore[assignment]
    __hash__ = refuse  # type: ignore[assignment]


class HostileZone(datetime.tzinfo):
    utcoffset = dst = tzname = refuse


class UnknownZone(datetime.tzinfo):
    def utcoffset(self, _: Any) -> None:
        return None

    dst = tzname = utcoffset


class HostileTimedelta(datetime.timedelta):
    days = seconds = microseconds = property(refuse)


class HostileDecimal(decimal.Decimal):
    as_tuple = __eq__ = refuse  # type: ignore[assignment]
    __str__ = __hash__ = refuse  # type: ignore[assignment]


class HostileUuid(uuid.UUID):
    bytes = property(refuse)  # type: ignore[assignment]
    __hash__ = refuse  # type: ignore[assignment]


class HostileArray(np.ndarray):
    dtype = ndim = shape = property(refuse)  # type: ignore[assignment]
    astype = tolist = __len__ = __eq__ = refuse  # type: ignore[assignment]


def cyclic_list() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


def cyclic_dict() -> dict[str, Any]:
    one: dict[str, Any] = {}
    one["a"] = one
    return one


def deep_list() -> list[Any]:
    one: list[Any] = []
    for _ in range(500):
        one = [one]
    return one


def begun_coroutine() -> Any:
    async def never_ends() -> None:
        try:
            await asyncio.sleep(0)
        except GeneratorExit:
            raise RuntimeError("not now") from None

    coroutine = never_ends()
    coroutine.send(None)
    return coroutine


async def unawaited() -> None: ...


def endless() -> Iterator[str]:
    while True:
        yield "DONE"


HOSTILE: dict[str, Callable[[], Any]] = {
    **{made.__name__: made for made in LIARS},
    "hostile": Hostile,
    "of hostile class": OfHostileClass,
    "hostile class": lambda: OfHostileClass,
    "endless length": EndlessLength,
    "negative length": NegativeLength,
    "on a device": OnADevice,
    "half an Arrow array": HalfAnArrowArray,
    "no Arrow stream": NoArrowStream,
    "hostile text": lambda: HostileText("hostile"),
    "hostile int": lambda: HostileInt(77),
    "hostile float": lambda: HostileFloat(7.7),
    "hostile list": lambda: HostileList(["a"]),
    "hostile dict": lambda: HostileDict(a=1),
    "hostile datetime": lambda: HostileDatetime(2020, 1, 1),
    "hostile zone": lambda: datetime.datetime(2020, 1, 1, tzinfo=HostileZone()),
    "unknown zone": lambda: datetime.datetime(2021, 1, 1, tzinfo=UnknownZone()),
    "hostile timedelta": lambda: HostileTimedelta(1),
    "hostile decimal": lambda: HostileDecimal(1),
    "hostile array": lambda: np.zeros(3).view(HostileArray),
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "deep list": deep_list,
    "begun coroutine": begun_coroutine,
    "coroutine": unawaited,
    "endless generator": endless,
    "generator": lambda: (one for one in "abc"),
    "function": lambda: refuse,
    "module": lambda: np,
    "class": lambda: Hostile,
    "object": object,
    "not implemented": lambda: NotImplemented,
    "ellipsis": lambda: ...,
}
"""A function for each object, because an iterator can be used only once."""

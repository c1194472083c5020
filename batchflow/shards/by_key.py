"""Adding up what several shards report of the same thing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT")


def merged_by_key(
    items: Iterable[ItemT],
    key: Callable[[ItemT], KeyT],
    together: Callable[[ItemT, ItemT], ItemT],
) -> dict[KeyT, ItemT]:
    """Return the items by their keys, and for several with the same key what they are together."""
    merged: dict[KeyT, ItemT] = {}
    for item in items:
        at = key(item)
        merged[at] = together(merged[at], item) if at in merged else item
    return merged

"""There is room for so many bytes of replies, and each has its turn."""

from __future__ import annotations

import asyncio

from batchflow.executor.ray.replies import TransitRoom


def test_a_large_reply_has_its_turn_before_small_ones() -> None:
    taken: list[int] = []

    async def take(room: TransitRoom, size: int) -> None:
        await room.take(size)
        taken.append(size)

    async def order() -> list[list[int]]:
        room, seen = TransitRoom(10), []
        tasks = [asyncio.create_task(take(room, size)) for size in (6, 10, 1)]
        for freed in (0, 3, 3, 10):
            room.free(freed)
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(list(taken))
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(order()) == [[6], [6], [6, 10], [6, 10, 1]]

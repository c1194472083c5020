"""The actor of a node keeps the order of messages, which Ray doesn't."""

from __future__ import annotations

import asyncio

from batchflow.executor.nodes.envelope import FromNode, ToNode, head
from batchflow.executor.ray.ray_node import RayNode


def test_messages_that_arrive_early_wait_for_those_before_them() -> None:
    abandons = [head(ToNode.ABANDON, 0, number=number) for number in range(3)]

    async def replies() -> bytes:
        actor = RayNode(1)
        await actor.hello()
        for number in (2, 0, 1):
            await actor.give(number, abandons[number])
        news = b""
        while news.count(FromNode.ABANDONED.name.encode()) < 3:
            news += await asyncio.wait_for(actor.news(), 10)
        await actor.end()
        return news

    news = asyncio.run(replies())

    found = [news.index(b'"number": %d' % number) for number in range(3)]
    assert found == sorted(found)

"""Steps that log, for workers and for the engine's own process."""

from __future__ import annotations

import asyncio
import logging

import batchflow as bf
from kit.things import Stage, Thing

log = logging.getLogger(__name__)


def row(run: bf.Run[Thing, Stage]) -> Stage:
    log.info("run %s", run.run_id)
    return Stage.DONE


def timed(run: bf.Run[Thing, Stage]) -> Stage:
    return row(run)


def in_thread(run: bf.Run[Thing, Stage]) -> Stage:
    return row(run)


async def async_row(run: bf.Run[Thing, Stage]) -> Stage:
    await asyncio.sleep(0)
    return await asyncio.to_thread(row, run)


def batch(batch: bf.Batch[Thing, Stage]) -> Stage:
    log.info("batch")
    return Stage.DONE


def with_details(run: bf.Run[Thing, Stage]) -> Stage:
    extra = {"step": "the user's own", "order": 7, "lines": [1, 2], "thing": object()}
    try:
        1 / 0  # noqa: B018 - the traceback is the point
    except ZeroDivisionError:
        log.exception("failed", extra=extra)
    return Stage.DONE

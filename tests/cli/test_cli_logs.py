from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

from batchflow.cli.logs import configure_logging


@contextlib.contextmanager
def root_of_new_process() -> Iterator[logging.Logger]:
    """Yield the root logger, without the handlers that pytest adds to it."""
    root, ours = logging.getLogger(), logging.getLogger("batchflow")
    before = [(each, each.handlers, each.level, each.propagate) for each in (root, ours)]
    for logger in (root, ours):
        logger.handlers, logger.propagate = [], True
    try:
        yield root
    finally:
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


def test_what_steps_log_is_written_with_the_step_and_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with root_of_new_process():
        configure_logging(quiet=False, verbose=True)
        log = logging.getLogger("pipeline")
        log.info("declined", extra={"run_id": 7, "step": "charge", "worker": 1})
        log.info("done", extra={"run_id": None, "step": "charge", "worker": 1})
        log.info("imported")
    lines = [line.partition(" INFO ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["declined [step charge, run 7]", "done [step charge]", "imported"]


def test_the_logging_that_a_module_has_configured_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = logging.NullHandler()
    with root_of_new_process() as root:
        root.addHandler(own)
        configure_logging(quiet=False, verbose=True)
        logging.getLogger("pipeline").warning("declined")
        assert root.handlers == [own]
    assert capsys.readouterr().err == ""

"""Logging to stderr."""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _ProgressBarHandler(logging.Handler):
    """Write lines above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # Like the handlers of logging: an error in the log stops nothing.
            self.handleError(record)


class _StepFormatter(logging.Formatter):
    """Add the step and the run to what a step logs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        line, call = super().formatMessage(record), vars(record)
        if call.get("worker") is None or call.get("step") is None:
            return line
        run = "" if call.get("run_id") is None else f", run {call['run_id']}"
        return f"{line} [step {call['step']}{run}]"


def configure_logging(*, quiet: bool, verbose: bool) -> None:
    """Log warnings to stderr, and progress too unless a terminal shows it as a bar.

    Other loggers, such as those of steps, write there too unless the user's module has configured
    them. Their level is the module's; ``verbose`` makes it INFO.
    """
    on_terminal = sys.stderr.isatty()
    handler = _ProgressBarHandler() if on_terminal else logging.StreamHandler()
    handler.setFormatter(_StepFormatter(_FORMAT))
    log = logging.getLogger("batchflow")
    log.addHandler(handler)
    log.propagate = False
    if not verbose:
        handler.addFilter(_is_progress_or_warning)
    log.setLevel(_level(quiet=quiet, verbose=verbose, on_terminal=on_terminal))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        if verbose:
            root.setLevel(min(root.level, logging.INFO))


def _is_progress_or_warning(record: logging.LogRecord) -> bool:
    """Return whether a record is progress, a warning or the user's, and not one of each commit."""
    of_user = record.name.partition(".")[0] != "batchflow"
    return (
        of_user or record.levelno >= logging.WARNING or getattr(record, "action", "") == "progress"
    )


def _level(*, quiet: bool, verbose: bool, on_terminal: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.WARNING if quiet or on_terminal else logging.INFO

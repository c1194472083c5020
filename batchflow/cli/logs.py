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


def configure_logging(*, quiet: bool, verbose: bool) -> None:
    """Log warnings to stderr, and progress too unless a terminal shows it as a bar."""
    on_terminal = sys.stderr.isatty()
    handler = _ProgressBarHandler() if on_terminal else logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    log = logging.getLogger("batchflow")
    log.addHandler(handler)
    log.propagate = False
    if not verbose:
        handler.addFilter(_is_progress_or_warning)
    log.setLevel(_level(quiet=quiet, verbose=verbose, on_terminal=on_terminal))


def _is_progress_or_warning(record: logging.LogRecord) -> bool:
    """Return whether a record is progress or a warning, and not one of each commit."""
    return record.levelno >= logging.WARNING or getattr(record, "action", "") == "progress"


def _level(*, quiet: bool, verbose: bool, on_terminal: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.WARNING if quiet or on_terminal else logging.INFO

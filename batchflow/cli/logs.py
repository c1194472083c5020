"""The log, on stderr."""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _ProgressBarHandler(logging.Handler):
    """Writes above a progress bar rather than through it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # As logging's own handlers do: the log never stops what it tells of.
            self.handleError(record)


def configure_logging(*, quiet: bool, verbose: bool) -> None:
    """Log to stderr: progress as lines where nobody watches a bar, warnings everywhere."""
    watched = sys.stderr.isatty()
    handler = _ProgressBarHandler() if watched else logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    log = logging.getLogger("batchflow")
    log.addHandler(handler)
    log.propagate = False
    if not verbose:
        handler.addFilter(_is_progress_or_warning)
    log.setLevel(_level(quiet=quiet, verbose=verbose, watched=watched))


def _is_progress_or_warning(record: logging.LogRecord) -> bool:
    """Tell progress and warnings from the lines that each commit writes."""
    return record.levelno >= logging.WARNING or getattr(record, "action", "") == "progress"


def _level(*, quiet: bool, verbose: bool, watched: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.WARNING if quiet or watched else logging.INFO

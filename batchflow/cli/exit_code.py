"""The exit codes of commands."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ended; after a signal, it is 128 plus the signal's number instead."""

    DONE = 0
    """The command succeeded; after `run`, nothing is left, but for runs that were paused before."""
    UNFINISHED = 1
    """`run` paused some runs, or some wait for a retry."""
    USAGE = 2
    """The command line is invalid."""
    FAILED = 3
    """The command failed, `check` found a problem, or `stop` found nothing to stop."""
    CUT_SHORT = 4
    """`run` was cut short by an option, a stop or a breaker, and runs are left to execute."""
    HELD = 75
    """Another process has the store open; try again later (EX_TEMPFAIL of sysexits)."""


EXIT_CODES = """\b
Exit codes:
  0    the command succeeded
  1    run: some runs were paused or wait for a retry
  2    the command line is invalid; nothing was done
  3    the command failed, or stop found nothing to stop; the reason is on stderr. check: a problem
  4    run: an option, stop or a breaker cut it short, and runs are left to execute
  75   another process has the store open; try again later
  129  the terminal was closed; committed work is kept
  130  ended by Ctrl-C; committed work is kept
  143  ended by SIGTERM; committed work is kept
"""

"""What the exit codes say."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ended; after a signal it is 128 and the signal's number instead."""

    DONE = 0
    """All runs are finished, or idle: nothing waits for anybody."""
    UNFINISHED = 1
    """Some runs are paused, or wait for a retry."""
    USAGE = 2
    """The command line is wrong."""
    FAILED = 3
    """The engine could not do it, or there was nothing to stop."""
    HELD = 75
    """Another process holds the store; try again later (sysexits' EX_TEMPFAIL)."""


EPILOG = """\b
Exit codes:
  0    all runs are finished or idle
  1    some runs are paused, or wait for a retry (run)
  2    the command line is wrong
  3    the engine could not do it, or nothing is to be stopped (stop); the reason is on stderr
  75   another process holds the store; try again later
  130  stopped by Ctrl-C, 143: by SIGTERM, 129: by the end of its terminal; what was
       committed is kept

\b
Data is written to stdout, everything else to stderr.
"""

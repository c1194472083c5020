"""Execute one command, and turn any ending into an exit code."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence

import click

from batchflow.cli.encoding import write_in_any_encoding
from batchflow.cli.exit_code import ExitCode
from batchflow.cli.group import batchflow
from batchflow.cli.interruption import Interruption
from batchflow.cli.option_names import with_command_line_names
from batchflow.cli.output import note
from batchflow.cli.streams import flush_or_discard, is_output_error, open_closed_streams
from batchflow.cli.target import BrokenModuleError
from batchflow.errors import BatchflowError, StoreHeldError

_SIGINT_EXIT_CODE = 130


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Execute one command, by default with the process's arguments; return its exit code."""
    open_closed_streams()
    write_in_any_encoding()
    with Interruption() as interruption:
        try:
            return _executed(arguments)
        except BaseException as error:
            if interruption.exit_code is not None:
                note("Stopped.")
                return interruption.exit_code
            return _exit_code_of(error)
        finally:
            flush_or_discard()


def _executed(arguments: Sequence[str] | None) -> int:
    given, stdout = None if arguments is None else list(arguments), sys.stdout
    try:
        code = batchflow.main(args=given, prog_name="batchflow", standalone_mode=False)
    except SystemExit:
        # If the reader closes the pipe early, click replaces stdout and exits.
        if sys.stdout is stdout:
            raise
        return ExitCode.DONE
    return int(code or ExitCode.DONE)


def _exit_code_of(error: BaseException) -> int:
    match error:
        case click.ClickException():
            shown = io.StringIO()
            error.show(shown)
            note(shown.getvalue().rstrip("\n"))
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return _SIGINT_EXIT_CODE
        case SystemExit():
            return error.code if isinstance(error.code, int) else ExitCode.FAILED
        case StoreHeldError():
            note(_message_of(error))
            return ExitCode.HELD
        case _:
            # Python's own exit code would be 1, which has another meaning here.
            note(_message_of(error))
            return ExitCode.FAILED


def _message_of(error: BaseException) -> str:
    match error:
        case BatchflowError():
            return f"batchflow: {with_command_line_names(str(error))}"
        case BrokenModuleError():
            return str(error)
        case OSError() if is_output_error(error):
            return f"batchflow: The output can't be written: {error.strerror}."
        case _:
            return "".join(traceback.format_exception(error))

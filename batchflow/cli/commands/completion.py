"""``batchflow completion``."""

from __future__ import annotations

import click

from batchflow.cli.output import write


@click.command(
    short_help="Print what completes commands in a shell.",
    epilog="""\b
Example, for ~/.bashrc:
  eval "$(batchflow completion bash)"
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that has a shell complete the commands and options of batchflow."""
    from click.shell_completion import get_completion_class

    scripts = get_completion_class(shell)
    assert scripts is not None
    made = scripts(ctx.find_root().command, {}, "batchflow", "_BATCHFLOW_COMPLETE")
    write(f"{made.source()}\n")

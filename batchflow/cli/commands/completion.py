"""``batchflow completion``."""

from __future__ import annotations

import click

from batchflow.cli.output import write


@click.command(
    epilog="""\b
Example, for ~/.bashrc:
  eval "$(batchflow completion bash)"
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    It changes no file: evaluate the script in your shell's startup file.
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    script = completion_class(ctx.find_root().command, {}, "batchflow", "_BATCHFLOW_COMPLETE")
    write(f"{script.source()}\n")

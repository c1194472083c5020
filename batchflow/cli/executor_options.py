"""The options that choose an executor: processes on this machine, or nodes of a Ray cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from batchflow.executor import ExecutorFactory

CommandT = TypeVar("CommandT", bound="Callable[..., Any] | click.Command")

_NODES = re.compile(r"(\d+)(?:-(\d+))?")


class NodesType(click.ParamType[tuple[int, int]]):
    """A number, or the least and the most, like ``1-8``."""

    name = "NUMBER|LEAST-MOST"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the least and the most."""
        match = _NODES.fullmatch(str(value))
        if match is None:
            self.fail(
                f"{value!r} is no number of nodes. Give one like 4, or a range like 1-8.",
                param,
                ctx,
            )
        least, most = match.groups()
        return int(least), int(most or least)


def executor_options(command: CommandT) -> CommandT:
    """Add the options to a command."""
    options = (
        click.option(
            "--workers",
            metavar="NUMBER",
            type=click.IntRange(min=0),
            help="Execute steps in this many processes, with ray on each node; 0: in this "
            "process.  [default: one per core]",
        ),
        click.option(
            "--executor",
            "kind",
            type=click.Choice(["processes", "ray"]),
            default="processes",
            show_default=True,
            help="Execute steps in processes on this machine, or on the nodes of a Ray cluster.",
        ),
        click.option(
            "--ray-address",
            metavar="HOST:PORT",
            help="The head of the cluster.  [default: RAY_ADDRESS, or the cluster of this machine]",
        ),
        click.option(
            "--nodes",
            type=NodesType(),
            help="How many nodes: a number, or the least and the most.  [default: 1-8]",
        ),
        click.option(
            "--send-code",
            metavar="FOLDER",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Have Ray copy this folder to the nodes, which import its modules.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """The executor that a command line names."""

    workers: int | None
    kind: str
    ray_address: str | None
    nodes: tuple[int, int] | None
    send_code: Path | None

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> ExecutorChoice:
        """Take the options of `executor_options` out of those of a command."""
        names = ("workers", "kind", "ray_address", "nodes", "send_code")
        return cls(**{name: options.pop(name) for name in names})

    def __post_init__(self) -> None:
        of_ray = (self.ray_address, self.nodes, self.send_code)
        if self.kind != "ray" and any(option is not None for option in of_ray):
            raise click.UsageError("--ray-address, --nodes and --send-code need --executor ray.")
        if self.kind == "ray" and self.workers == 0:
            raise click.UsageError(
                "--workers 0 executes steps in this process; leave out --executor."
            )

    def factory(self) -> ExecutorFactory:
        """Return the executor."""
        from batchflow.executor import RayExecutor
        from batchflow.executor.choice import chosen_executor

        if self.kind != "ray":
            return chosen_executor(self.workers, None)
        folder = None if self.send_code is None else {"working_dir": str(self.send_code)}
        return RayExecutor(
            address=self.ray_address or "auto",
            nodes=self.nodes or RayExecutor.nodes,
            workers=self.workers,
            runtime_env=folder,
        )

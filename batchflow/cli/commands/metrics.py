"""``batchflow metrics``."""

from __future__ import annotations

import http.server
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import note, write, write_document
from batchflow.errors import BatchflowError
from batchflow.export.atomic_write import atomic_path


@click.command(
    epilog="""\b
Examples:
  batchflow metrics --store orders.duckdb --textfile /var/lib/node_exporter/orders.prom
  batchflow metrics --store orders.duckdb --listen 127.0.0.1:9464
"""
)
@store_option
@workflow_option
@click.option(
    "--textfile",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write this file at once or not at all, for node_exporter.",
)
@click.option("--listen", metavar="HOST:PORT", help="Serve http://HOST:PORT/metrics until Ctrl-C.")
@json_option
def metrics(
    store: Path, workflow: str | None, textfile: Path | None, listen: str | None, *, as_json: bool
) -> None:
    """Write numbers of a store for Prometheus.

    Runs by status and run state, transitions, failures, the age of the oldest unfinished run, and
    the seconds in steps, queues and commits. Pruning lowers counters, which Prometheus takes for a
    restart. With --listen, each request reads the store; the port has no password.

    Prints the text format of Prometheus, unless you give --textfile or --listen. With --json, it
    prints a list of objects with a metric's name, its labels and its value.
    """
    if (textfile is not None) + (listen is not None) + as_json > 1:
        raise click.UsageError("Give only one of --textfile, --listen and --json.")
    with opened_store(store) as reader:
        if as_json:
            samples = chain.from_iterable(reader._samples(workflow).values())
            write_document([asdict(sample) for sample in samples])
            return
        read = partial(reader.metrics, workflow=workflow)
        if listen is not None:
            host, port = _address(listen)
            _serve(host, port, read)
        elif textfile is None:
            write(read())
        else:
            text = read()
            with atomic_path(textfile) as path:
                path.write_text(text, encoding="utf-8")


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.UsageError(f"--listen is {listen!r}. Give HOST:PORT, like 127.0.0.1:9464.")
    return host.strip("[]"), int(port)


def _serve(host: str, port: int, read: partial[str]) -> None:
    """Serve requests until the process is interrupted."""
    from batchflow.store.query.metrics import CONTENT_TYPE

    class Handler(http.server.BaseHTTPRequestHandler):
        """Sends the metrics."""

        def do_GET(self) -> None:
            """Read the store and send the metrics."""
            if self.path.split("?")[0] not in ("/", "/metrics"):
                self.send_error(404)
                return
            try:
                body = read().encode()
            except BatchflowError as error:
                self.send_error(503, explain=str(error))
                return
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing, as a request every few seconds is no news."""

    try:
        server = http.server.ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise click.UsageError(
            f"--listen: {host}:{port} can't be used: {error.strerror}."
        ) from None
    with server:
        note(f"Serving http://{host}:{server.server_port}/metrics.")
        server.serve_forever()

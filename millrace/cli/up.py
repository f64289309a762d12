"""`millrace up`: the whole service by one command, on a data folder and nothing else."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from millrace.cli.errors import AddressRefused, PortTaken
from millrace.cli.place import service_place
from millrace.cli.service import service_root
from millrace.cli.supervisor import Supervisor
from millrace.cli.target import check_target

# less than what the supervisor gives the worker, so that unfinished jobs are handed back and lose no attempt
HANDLER_GRACE = 1.0


def up(
    host: Annotated[
        str | None,
        typer.Option(help="Address, by default 127.0.0.1; off loopback an API key is needed."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port, by default 8000; 0 takes a free one.", min=0, max=65535),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that holds everything, by default .millrace.")] = None,
    app: Annotated[str | None, typer.Option(help="Also run a worker for this application, module:app.")] = None,
    concurrency: Annotated[int, typer.Option(help="Jobs that the worker runs at once.", min=1)] = 10,
    max_memory: Annotated[
        int | None, typer.Option(help="MiB that the worker may take; with more another one is started.", min=1)
    ] = None,
) -> None:
    """Starts the service on its embedded PostgreSQL, and a worker beside it when an application is named.

    An option goes before MILLRACE_HOST, MILLRACE_PORT and MILLRACE_DATA, these before the configuration file.
    """
    root = service_root()
    if app is not None:
        check_target(app)
    options = {"host": host, "port": port, "data": None if data is None else str(data)}
    place = service_place(root, {name: value for name, value in options.items() if value is not None}, os.environ)
    free = usable_port(place.host, place.port)
    url = service_url(place.host, free)
    folder = place.data.expanduser().absolute()
    service = ["serve", "--embedded", "--data", str(folder), "--host", place.host, "--port", str(free)]
    worker = None if app is None else worker_command(app, url, concurrency, max_memory)
    console = Console(stderr=True)

    def announce() -> None:
        console.print(
            Text.assemble(("Millrace is ready", "green"), f" at {url}, data in {folder}; Ctrl-C stops it"),
            soft_wrap=True,
        )

    asyncio.run(Supervisor(root, service, worker, url, place.logs()).run(announce))


def worker_command(target: str, url: str, concurrency: int, max_memory: int | None = None) -> list[str]:
    """The command line of an ordinary worker, with this process's folder and path and nothing of the service's."""
    command = [sys.executable, "-m", "millrace.cli.main", "worker", target]
    command += ["--url", url, "--concurrency", str(concurrency), "--grace", str(HANDLER_GRACE)]
    return command if max_memory is None else [*command, "--max-memory", str(max_memory)]


def service_url(host: str, port: int) -> str:
    """Where a client on this machine reaches a service that listens on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    loopback = "127.0.0.1" if address.version == 4 else "[::1]"
    reachable = loopback if address.is_unspecified else f"[{host}]" if address.version == 6 else host
    return f"http://{reachable}:{port}"


def usable_port(host: str, port: int) -> int:
    """`port` when nothing listens there, or a free one for 0.

    Raises:
        PortTaken: another program listens there.
        AddressRefused: this machine has no such address, or ports below 1024 are not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from error
        raise AddressRefused(host, error.strerror or str(error)) from error

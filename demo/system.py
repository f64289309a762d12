"""The system under the demo: real processes, started and stopped like anybody would."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.files import removed_at_the_end
from demo.servers import own_database, own_vhost
from millrace.cli.processes import describe_exit, end_child, end_with_parent
from millrace.cli.up import usable_port

ROOT = Path(__file__).resolve().parent.parent
APP = "demo.pipeline:app"
HOST = "127.0.0.1"
READY_TIMEOUT = 60.0
END_GRACE = 8.0
TAIL_LINES = 20
CONCURRENCY = 16
OTHER_SERVICES = ("DATABASE_URL", "RABBITMQ_URL", "REDIS_URL")


class SystemFailed(Exception):
    """Raised when a process of the system ends or is not ready in time; carries the end of its output."""


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    Attributes:
        url: where clients reach it.
        environment: of its processes.
        rebuild: arguments that name its database to `millrace rebuild`.
        mail: the maildir that stands for its mail server.
        description: one line for people.
    """

    url: str
    environment: Mapping[str, str]
    rebuild: tuple[str, ...]
    mail: Path
    description: str


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[System]:
    """`millrace up` on a fresh data folder, with its worker."""
    # made by the service itself, which knows what permissions its PostgreSQL needs
    data = folder.with_name(f"{folder.name}-data")
    port = usable_port(HOST, 0)
    url = f"http://{HOST}:{port}"
    environment = {key: value for key, value in os.environ.items() if key not in OTHER_SERVICES}
    environment |= {"MILLRACE_URL": url, "PYTHONWARNINGS": "ignore::SyntaxWarning"}
    command = ["up", "--data", str(data), "--port", str(port), "--app", APP, "--concurrency", str(CONCURRENCY)]
    with removed_at_the_end(data):
        async with running("up", command, environment, folder, ready=f"{url}/health/ready"):
            mail = data / "mail"
            yield System(url, environment, ("--data", str(data)), mail, f"millrace up on an embedded PostgreSQL, {url}")


@asynccontextmanager
async def distributed(folder: Path) -> AsyncIterator[System]:
    """The service with all its roles and a worker as separate processes, on RabbitMQ and PostgreSQL, over AMQP alone.

    DATABASE_URL, RABBITMQ_URL and RABBITMQ_MANAGEMENT_URL name the servers; a database and a virtual host of its own
    are made there and removed afterwards.
    """
    port = usable_port(HOST, 0)
    async with (
        own_database(os.environ["DATABASE_URL"]) as database,
        own_vhost(os.environ["RABBITMQ_URL"], os.environ["RABBITMQ_MANAGEMENT_URL"]) as broker,
    ):
        environment = {**os.environ, "DATABASE_URL": database, "RABBITMQ_URL": broker, "MILLRACE_URL": broker}
        mail = folder / "mail"
        environment |= {
            "PYTHONWARNINGS": "ignore::SyntaxWarning",
            "MILLRACE_MODULES__NOTIFICATIONS__CHANNELS__EMAIL__PROVIDER": "file",
            "MILLRACE_MODULES__NOTIFICATIONS__PROVIDERS__FILE__FOLDER": str(mail),
        }
        async with running("migrate", ["migrate"], environment, folder) as migration:
            if await migration.wait():
                raise SystemFailed(f"millrace migrate failed:\n{tail(folder / 'migrate.log')}")
        serve = ["serve", "--host", HOST, "--port", str(port)]
        work = ["worker", APP, "--url", broker, "--concurrency", str(CONCURRENCY)]
        async with (
            running("serve", serve, environment, folder, ready=f"http://{HOST}:{port}/health/ready"),
            running("worker", work, environment, folder),
        ):
            yield System(
                broker, environment, (), mail, "millrace serve and millrace worker over RabbitMQ and PostgreSQL"
            )


@asynccontextmanager
async def running(
    name: str, arguments: list[str], environment: Mapping[str, str], folder: Path, ready: str | None = None
) -> AsyncIterator[Process]:
    """A `millrace` process whose output goes to `<folder>/<name>.log`, ready when `ready` answers 200.

    Raises:
        SystemFailed: it ended, or is not ready in time.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "millrace.cli.main", *arguments),
            cwd=ROOT,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )
    try:
        if ready is not None:
            await _until_ready(name, child, ready, log)
        yield child
    finally:
        await end_child(child, END_GRACE)


async def _until_ready(name: str, child: Process, url: str, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_TIMEOUT), httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            while not await _answers(client, url):
                if child.returncode is not None:
                    raise SystemFailed(f"millrace {name} ended ({describe_exit(child.returncode)}):\n{tail(log)}")
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise SystemFailed(f"millrace {name} is not ready after {READY_TIMEOUT:g} s:\n{tail(log)}") from error


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False


def tail(log: Path) -> str:
    """The last lines of a process's output."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

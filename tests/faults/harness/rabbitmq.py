"""A RabbitMQ node of a run's own, whose data may be deleted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import aio_pika
from aio_pika.exceptions import AMQPError

from tests.faults.harness import family
from tests.faults.harness.processes import ROOT, Server, free_port
from tests.faults.harness.waiting import until

# the wrapper on the path insists on the system's own instance
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PASSWORD = "faults"
BOOT_SECONDS = 40.0


class RabbitMQ(Server):
    """A node with the users that production has, on free ports, below one folder. Its epmd is its own too.

    Args:
        folder: of the run; what the node is started with stays there.
        data: where everything lies that the node stores, possibly below a volume that can lose its power.
        settings: lines of rabbitmq.conf, such as `{"disk_free_limit.absolute": "20MB"}`.
    """

    def __init__(
        self, folder: Path, *, data: Path | None = None, settings: Mapping[str, str | int] | None = None
    ) -> None:
        self.home = folder / "rabbitmq"
        self.home.mkdir()
        self.data = data or self.home / "data"
        self.port, distribution, epmd = free_port(), free_port(), free_port()
        self.url = f"amqp://millrace:{PASSWORD}@127.0.0.1:{self.port}/millrace"
        definitions = (ROOT / "infra/definitions.json").read_text()
        for name in ("RABBITMQ_PASSWORD", "RABBITMQ_OPERATOR_PASSWORD"):
            definitions = definitions.replace(f"${{{name}}}", PASSWORD)
        (self.home / "definitions.json").write_text(definitions)
        (self.home / "enabled_plugins").write_text("[].")
        (self.home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nload_definitions = {self.home}/definitions.json\n"
            + "".join(f"{key} = {value}\n" for key, value in (settings or {}).items())
        )
        environment = {
            "HOME": str(self.home),
            "RUNNING_UNDER_SYSTEMD": "true",  # replaces the shell by the virtual machine, so that a kill hits the node
            "RABBITMQ_NODENAME": f"faults{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "LC_ALL": "C.UTF-8",
        }
        # As a child of ours: a node would leave behind the one that it starts.
        names = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(epmd)}
        self.names = Server("epmd", ["epmd"], folder, names)
        super().__init__("rabbitmq", [str(PROGRAM)], folder, environment)

    async def start(self) -> Self:
        """Returns when the node accepts connections."""
        if not self.names.running:
            await self.names.start()
        await super().start()
        await until(self._answers, BOOT_SECONDS, "RabbitMQ accepts connections")
        return self

    async def kill(self) -> None:
        if self.running:
            # its helpers too: they hold the node's files
            await family.killed(self.pid)
            await self.ended()

    async def wipe(self) -> None:
        """kill -9, and everything that the node ever stored is gone."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.data)

    async def close(self) -> None:
        await self.kill()
        await self.names.kill()

    async def _answers(self) -> bool:
        if not self.running:
            raise ChildProcessError(f"RabbitMQ ended: {self.output()[-3_000:]}")
        with suppress(OSError, AMQPError, TimeoutError, asyncio.CancelledError):
            connection = await aio_pika.connect(self.url, timeout=2)
            await connection.close()
            return True
        await asyncio.sleep(0.2)
        return False

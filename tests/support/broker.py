"""A RabbitMQ node of a test's own, on its own ports and folder, to be stopped, killed and wiped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import aio_pika
import pytest

from tests.support.running import until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the wrapper in /usr/sbin insists on the system's own instance
START_SECONDS = 45.0
STOP_SECONDS = 30.0


class Node:
    """One node. `start` waits until it answers; a second start after `stop` or `kill` goes on with its data."""

    def __init__(self, folder: Path) -> None:
        if not SERVER.exists():
            pytest.skip(f"{SERVER} is not there; a node of the test's own needs Debian's rabbitmq-server")
        self._folder = folder
        self._port, self._distribution, self._epmd = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self._port}\n")
        (folder / "enabled_plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    async def start(self) -> None:
        environment = {
            "PATH": f"{SERVER.parent}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "LC_ALL": "C.UTF-8",
            # Without it a shell would stand between us and the virtual machine.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": f"own{self._port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
        }
        self._launch(environment)
        await until(self._answers, START_SECONDS)

    def _launch(self, environment: dict[str, str]) -> None:
        with (self._folder / "out.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SERVER)],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends the node as an operator does; returns when it is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the node as a power cut does."""
        self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Deletes everything that the stopped node has stored."""
        shutil.rmtree(self._folder / "data")

    def close(self) -> None:
        self.kill()
        subprocess.run(
            ["epmd", "-kill"],
            env={**os.environ, "ERL_EPMD_PORT": str(self._epmd)},
            capture_output=True,
            timeout=10,
            check=False,
        )

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            process.wait(STOP_SECONDS)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "out.log").read_text()[-2_000:]
        try:
            await (await aio_pika.connect(self.url, timeout=2)).close()
        except (aio_pika.exceptions.AMQPError, OSError):
            return False
        return True


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports

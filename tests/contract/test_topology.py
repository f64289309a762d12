"""`topology apply|check|export`, as an operator runs them against a broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aio_pika
import httpx
import pytest

from adapters.amqp.topology import CALLS, CLAIMS, COMMANDS, EVENTS, EVENTS_LOG, LIVE, PARKED, QUERIES, topology

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
async def run(rabbitmq_url: str) -> AsyncIterator[Run]:
    """Runs a topology command on a broker that has none of Millrace's queues and exchanges."""
    await forget(rabbitmq_url)

    def call(command: str, url: str = rabbitmq_url) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "infra.main", "topology", command],
            cwd=ROOT,
            env={**os.environ, "RABBITMQ_URL": url},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    yield call
    await forget(rabbitmq_url)


async def forget(url: str) -> None:
    async with await aio_pika.connect(url, timeout=60) as connection, connection.channel() as channel:
        for queue in topology().queues:
            await channel.queue_delete(queue.name)
        for exchange in topology().exchanges:
            await channel.exchange_delete(exchange.name)


async def test_what_is_missing_is_named_then_declared_and_declaring_again_changes_nothing(run: Run) -> None:
    missing = run("check")
    assert missing.returncode == 1
    assert missing.stdout.splitlines() == [
        *(f"exchange {exchange.name} is missing" for exchange in topology().exchanges),
        *(f"queue {queue.name} is missing" for queue in topology().queues),
    ]
    for _ in range(2):
        applied = run("apply")
        assert (applied.returncode, applied.stdout) == (0, "the topology is declared\n")
    checked = run("check")
    assert (checked.returncode, checked.stdout) == (0, "the topology is as declared\n")


async def test_a_queue_with_other_settings_is_named_and_left_alone(run: Run, rabbitmq_url: str) -> None:
    assert run("apply").returncode == 0
    async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
        await channel.queue_delete(COMMANDS)
        await channel.declare_queue(COMMANDS, durable=True, arguments={"x-message-ttl": 5})
    different = run("check")
    assert different.returncode == 1
    assert different.stdout.startswith(f"queue {COMMANDS} is different")
    refused = run("apply")
    assert refused.returncode == 1
    assert COMMANDS in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


async def test_a_broker_that_is_not_there_is_said_in_one_line(run: Run, unused_tcp_port: int) -> None:
    failed = run("apply", f"amqp://nobody:secret@127.0.0.1:{unused_tcp_port}/")
    said = [line for line in failed.stderr.splitlines() if not line.startswith("{")]
    assert (failed.returncode, len(said)) == (1, 1)
    assert said[0].startswith("millrace: ")
    assert "secret" not in failed.stderr


async def test_the_export_is_what_rabbitmq_imports(run: Run, rabbitmq_url: str) -> None:
    exported = run("export")
    definitions = json.loads(exported.stdout)
    assert {each["name"] for each in definitions["exchanges"]} == {COMMANDS, CALLS, CLAIMS, QUERIES, EVENTS, LIVE}
    assert {each["name"] for each in definitions["queues"]} == {COMMANDS, CALLS, PARKED, CLAIMS, QUERIES, EVENTS_LOG}
    assert {(each["source"], each["destination"]) for each in definitions["bindings"]} == {
        (COMMANDS, COMMANDS),
        (CALLS, CALLS),
        (CLAIMS, CLAIMS),
        (QUERIES, QUERIES),
        (EVENTS, EVENTS_LOG),
    }
    durable = {each["name"]: each["durable"] for each in definitions["exchanges"]}
    assert durable == {COMMANDS: True, CALLS: True, CLAIMS: True, QUERIES: True, EVENTS: True, LIVE: False}
    imported = import_into(os.environ["RABBITMQ_MANAGEMENT_URL"], definitions)
    checked = run("check", urlsplit(rabbitmq_url)._replace(path=f"/{imported}").geturl())
    remove_vhost(os.environ["RABBITMQ_MANAGEMENT_URL"], imported)
    assert (checked.returncode, checked.stdout) == (0, "the topology is as declared\n")


def import_into(management: str, definitions: dict[str, list[dict[str, object]]]) -> str:
    """Imports definitions into a new virtual host through the management interface; returns its name."""
    vhost = f"test-{uuid4().hex[:12]}"
    user = urlsplit(os.environ["RABBITMQ_URL"]).username or "guest"
    with api(management) as client:
        client.put(f"/vhosts/{vhost}").raise_for_status()
        for name in {user, urlsplit(management).username or user}:
            rights = {"configure": ".*", "write": ".*", "read": ".*"}
            client.put(f"/permissions/{vhost}/{quote(name, safe='')}", json=rights).raise_for_status()
        # A definition for one virtual host does not name it.
        own = {
            kind: [{key: value for key, value in each.items() if key != "vhost"} for each in found]
            for kind, found in definitions.items()
        }
        client.post(f"/definitions/{vhost}", json=own).raise_for_status()
    return vhost


def remove_vhost(management: str, vhost: str) -> None:
    with api(management) as client:
        client.delete(f"/vhosts/{vhost}").raise_for_status()


def api(management: str) -> httpx.Client:
    parts = urlsplit(management)
    authority = httpx.BasicAuth(parts.username or "guest", parts.password or "guest")
    base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
    return httpx.Client(base_url=base, auth=authority, timeout=10, trust_env=False)

"""Who was connected to a process that was killed is gone once the lease of the connection is over."""

from __future__ import annotations

import uuid

from adapters.postgres.presence import PostgresPresence
from domain.presence import Connected
from tests.support.live import live
from tests.support.running import running

LEASE = 5.0  # seconds


async def test_clients_of_a_process_that_is_gone_leave_when_their_leases_end(fresh_database_url: str) -> None:
    async with running(fresh_database_url) as service, live(service.url, "/ws/ann") as ann:
        # A process that said once that they are here, and nothing since.
        of_the_killed = [Connected(uuid.uuid4(), "default", name) for name in ("bob", "eve")]
        await PostgresPresence(service.system.storage.pool).renew(of_the_killed, LEASE)
        await ann.say(action="presence", watch=True)
        listed = (await ann.told("presence.list"))["data"]["clients"]
        assert [one["client_id"] for one in listed] == ["ann", "bob", "eve"]
        left = [(await ann.told("presence.leave"))["data"]["client_id"] for _ in of_the_killed]
        assert sorted(left) == ["bob", "eve"]
        await ann.say(action="presence")
        assert [one["client_id"] for one in (await ann.told("presence.list"))["data"]["clients"]] == ["ann"]

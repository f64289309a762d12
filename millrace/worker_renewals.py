"""Keeps the leases of running attempts alive, and ends attempts that have lost theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from millrace.errors import MillraceError
from millrace.ids import uuid7
from millrace.link import Link, read_answer
from millrace.logs import Log
from millrace.worker_leases import Key, Leases, lease_clock

log = Log("millrace.worker")

TICK_SECONDS = 0.25
ANSWER_SECONDS = 5.0
MAX_ATTEMPTS = 1_000
DETAIL_BYTES = 524_288
Details = dict[str, Any]


class Renewals:
    """Renews all leases in one message when the first is due, and calls `lost` for attempts that must stop.

    Args:
        lost: gets what the service said of the attempt: nothing where its lease could not be renewed in time.
        told: gives what an attempt tells of itself and the service does not have.
        heard: called with that when the service has it.
        tenant_of: whose job an attempt is of.
    """

    def __init__(
        self,
        link: Link,
        worker: str,
        leases: Leases,
        lost: Callable[[Key, Details], None],
        told: Callable[[Key], Details | None],
        heard: Callable[[Key, Details], None],
        tenant_of: Callable[[Key], str | None],
    ) -> None:
        self._link = link
        self._origin = link.origin()
        self._worker = worker
        self._leases = leases
        self._lost, self._told, self._heard, self._tenant_of = lost, told, heard, tenant_of
        self._renewing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watches until it is canceled. A renewal that hangs does not keep it from seeing that a lease has run out."""
        try:
            while True:
                now = lease_clock()
                for key in self._leases.expire(now):
                    self._lost(key, {})
                if self._leases.renewal_due(now) and (self._renewing is None or self._renewing.done()):
                    self._leases.renewing(now)
                    self._renewing = asyncio.create_task(self._renew())
                await asyncio.sleep(TICK_SECONDS)
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        of_tenants: dict[str | None, list[Key]] = {}
        held = self._leases.keys()
        for key in held:
            of_tenants.setdefault(self._tenant_of(key), []).append(key)
        parts = [
            (tenant, keys[start : start + MAX_ATTEMPTS])
            for tenant, keys in of_tenants.items()
            for start in range(0, len(keys), MAX_ATTEMPTS)
        ]
        # Side by side: what one tenant's message waits for must not cost another one's leases.
        await asyncio.gather(*(self._renew_logged(tenant, keys) for tenant, keys in parts))

    async def _renew_logged(self, tenant: str | None, keys: list[Key]) -> None:
        try:
            await self._renew_some(tenant, keys)
        except MillraceError as error:
            log.warning("leases could not be renewed; trying again", count=len(keys), error=str(error))

    def _news(self, keys: list[Key]) -> dict[Key, Details]:
        """As much of what attempts tell as one message takes; the rest goes with the next one."""
        news: dict[Key, Details] = {}
        size = 0
        for key in keys:
            told = self._told(key)
            if told is not None and (size := size + len(to_json(told))) <= DETAIL_BYTES:
                news[key] = told
        return news

    async def _renew_some(self, tenant: str | None, keys: list[Key]) -> None:
        details = self._news(keys)
        attempts = [
            {"job_id": key[0], "attempt": key[1], **({"details": details[key]} if key in details else {})}
            for key in keys
        ]
        body = to_json({"worker": self._worker, "attempts": attempts})
        sent = lease_clock()
        reply = await self._link.transport.execute(
            "job.renew", body, self._origin.in_name_of(tenant), uuid7(), timeout=ANSWER_SECONDS, repeat=False
        )
        answer = read_answer(reply).result
        for key, told in details.items():
            self._heard(key, told)
        self._leases.renewed(keys, sent=sent, lease=answer["lease"])
        for attempt in answer["lost"]:
            self._lost((attempt["job_id"], attempt["attempt"]), attempt)

"""A notification that a running service has sent, and what becomes of its one delivery, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.eventually import eventually


class Sending:
    """Sends through one channel of the service behind `client`."""

    client: httpx.AsyncClient

    async def send(self, channel: str, address: str, status: str = "sent") -> str:
        """The id of a notification, once its delivery has that status."""
        body = {"title": "Hello", "user_id": "kim", "channels": [channel], "recipient": address}
        answer = await self.client.post("/api/notifications", json=body)
        assert answer.status_code == 201, answer.text
        id: str = answer.json()["notification_id"]
        await self.ends(id, status)
        return id

    async def step(self, id: str) -> dict[str, Any]:
        [step] = (await self.client.get(f"/api/notifications/{id}")).json()["deliveries"]
        return dict(step)

    async def ends(self, id: str, status: str) -> dict[str, Any]:
        return await eventually(lambda: self.step(id), lambda step: step["status"] == status, seconds=30)

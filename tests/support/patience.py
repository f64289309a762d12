"""HTTP requests that are repeated, with the same key, while the service cannot reach its store."""

from __future__ import annotations

import asyncio
import uuid

import httpx

ATTEMPTS = 20
PAUSE_SECONDS = 0.5


class PatientTransport(httpx.AsyncHTTPTransport):
    """What a careful client does about an answer that goes by itself, for tests that are about something else.

    Callbacks are left alone: their providers repeat them.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/callbacks/" in request.url.path:
            return await super().handle_async_request(request)
        if request.method != "GET":
            request.headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        for _ in range(ATTEMPTS):
            response = await super().handle_async_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            await response.aread()
            if '"unavailable"' not in response.text:
                return response
            await asyncio.sleep(PAUSE_SECONDS)
        return response

"""Samples over HTTP: the live feed's server-sent events, for as long as somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from millrace.contracts.live import Transient
from millrace.logs import Log
from millrace.settings import Settings
from millrace.transport_http import CONNECT_SECONDS, http_client

# The service says something every 15 s by default.
SILENCE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
# Up to so many subjects have a stream each; beyond that one stream brings all samples of the tenant.
MOST_STREAMS = 8
log = Log("millrace.live")


class HttpSamples:
    """Hears the samples of chosen subjects while anybody wants them; connects anew for as long.

    Args:
        hear: called with each sample.
    """

    def __init__(self, settings: Settings, event_type: str, hear: Callable[[Transient], None]) -> None:
        self._settings, self._type, self._hear = settings, event_type, hear
        self._subjects: set[str] = set()
        self._streams: dict[str | None, asyncio.Task[None]] = {}

    def want(self, subject: str) -> None:
        self._subjects.add(subject)
        self._arrange()

    def drop(self, subject: str) -> None:
        """Gives its connection up."""
        self._subjects.discard(subject)
        self._arrange()

    def _arrange(self) -> None:
        wanted: set[str | None] = {*self._subjects} if len(self._subjects) <= MOST_STREAMS else {None}
        for subject in set(self._streams) - wanted:
            task = self._streams.pop(subject)
            # A task whose event loop is gone has gone with it.
            if not task.get_loop().is_closed():
                task.cancel()
        for subject in wanted - set(self._streams):
            self._streams[subject] = asyncio.get_running_loop().create_task(self._listen(subject))

    async def _listen(self, subject: str | None) -> None:
        while True:
            try:
                async for text in self._told(subject):
                    self._arrived(text)
            except (httpx.HTTPError, OSError) as error:
                log.info("samples do not arrive", action="samples_away", error=repr(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _told(self, subject: str | None) -> AsyncIterator[str]:
        """The data of each event until the stream ends; only samples have the type that is asked for."""
        query = {"pattern": self._type} if subject is None else {"pattern": self._type, "subject": subject}
        headers = {"Accept": "text/event-stream", "X-Tenant-Id": self._settings.tenant}
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        async with (
            http_client(self._settings.url, self._settings.api_key) as client,
            client.stream("GET", "/api/events", params=query, headers=headers, timeout=timeout) as response,
        ):
            response.raise_for_status()
            kind = ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == self._type:
                    yield value

    def _arrived(self, text: str) -> None:
        try:
            sample = Transient.model_validate(from_json(text))
        except (ValueError, ValidationError) as error:
            log.info("unreadable sample", action="sample_unreadable", error=type(error).__name__)
            return
        if sample.subject in self._subjects:
            self._hear(sample)

"""The running service in a thread of its own, for tests that are not coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from tests.support.running import Running, running

END_SECONDS = 20.0


@contextmanager
def running_in_a_thread(database_url: str, rabbitmq_url: str | None = None) -> Iterator[Running]:
    """The service with all roles, over HTTP; ended when the block ends."""
    started: Future[tuple[Running, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        ended = asyncio.Event()
        async with running(database_url, rabbitmq_url) as service:
            started.set_result((service, asyncio.get_running_loop(), ended))
            await ended.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=run, name="service")
    thread.start()
    try:
        service, loop, ended = started.result(END_SECONDS)
        yield service
        loop.call_soon_threadsafe(ended.set)
    finally:
        thread.join(END_SECONDS)

"""A TCP proxy whose connections can be cut, as a network does it."""

from __future__ import annotations

import asyncio
from ssl import SSLContext


class Proxy:
    """Forwards a local port to a server; with `tls` whoever connects must speak TLS, as in front of many a broker."""

    def __init__(self, host: str, port: int, tls: SSLContext | None = None) -> None:
        self._host, self._port_behind, self._tls = host, port, tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Cuts every connection there is; new ones are let through unless `refusing`."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """Lets nothing through any more, without closing anything."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        behind_reader, behind_writer = await asyncio.open_connection(self._host, self._port_behind)
        pair = {writer, behind_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, behind_writer), self._pump(behind_reader, writer))
        finally:
            self._writers -= pair
            for end in pair:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

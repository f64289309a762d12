"""WebSockets of the server, with one addition: frames that were made once for many clients are written as they are."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

FRAMES = "millrace.frames"
CUT = "millrace.cut"
LAST_WORDS = 10.0


def text_frame(text: bytes) -> bytes:
    """A whole text message as a server sends it (RFC 6455, 5.2): unmasked, in one frame."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


class FramesProtocol(WebSocketsSansIOProtocol):
    """What there is beside ASGI, for which the scope has the extension `millrace.frames`:

    - `{"type": "millrace.frames", "data": bytes}` writes whole frames, with the back pressure of `websocket.send`.
    - the extension's `write(data)` does the same at once, or returns false where it would wait.
    - `{"type": "millrace.cut", "code", "reason"}` closes the connection of a client that takes nothing any more: a
      close frame after what is on its way, and the end of the connection soon after, whatever arrived.
    """

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][FRAMES] = {"write": self._write_now}

    async def send(self, message: Any) -> None:
        match message["type"]:
            case "millrace.frames":
                if not self.writable.is_set():
                    await self.writable.wait()
                if self.disconnected or self.close_sent:
                    raise ClientDisconnected
                self.transport.write(message["data"])
            case "millrace.cut":
                self._cut(message["code"], message["reason"])
            case "websocket.http.response.body":
                await super().send(message)
                # The server would log an error for an answer that is no handshake, although it was sent.
                self.handshake_complete = self.handshake_complete or not message.get("more_body", False)
            case _:
                await super().send(message)

    def _write_now(self, data: bytes) -> bool:
        if self.disconnected or self.close_sent or not self.writable.is_set():
            return False
        self.transport.write(data)
        return True

    def _cut(self, code: int, reason: str) -> None:
        if self.disconnected or self.close_sent:
            return
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        # Set, so that the end of the application does not close the connection before the last words are on their way.
        self.close_timer = self.loop.call_later(LAST_WORDS, self.transport.abort)
        self.writable.set()

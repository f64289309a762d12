"""How a WebSocket of the live feed is let in: who asks, within which limits; refusals are answers of HTTP."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from adapters.http.access import Access
from adapters.http.call import Call, call_of
from adapters.http.live_session import LiveLimits, Session
from adapters.http.live_tickets import digest_of
from adapters.http.problems import HttpProblem, malformed, problem, unauthorized, unavailable
from adapters.http.websocket_protocol import FRAMES
from adapters.http.websocket_refusal import refuse_handshake
from domain.ports import StoreUnavailable
from domain.tickets import Grant, Tickets
from handlers.gateway import Gateway
from handlers.live import Hub
from handlers.presence import Presence
from millrace.contracts.feed import SUBPROTOCOL
from millrace.contracts.wire import Context

KEY_PREFIX = "millrace.key."
MOST_PARAMETERS = 20


class Places:
    """How many connections there are, of the process and of each tenant."""

    def __init__(self, limits: LiveLimits) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """A place for one connection, as long as the block lasts.

        Raises:
            HttpProblem: 503 where the process has none left, 429 where the tenant has none.
        """
        if self._total >= self._limits.connections:
            raise unavailable("this process holds as many live connections as it can", retry_after=5.0)
        if self._taken[tenant] >= self._limits.tenant_connections:
            detail = f"the tenant has {self._limits.tenant_connections} live connections; close one first"
            raise HttpProblem(problem(429, detail, retry_after=5.0))
        self._total += 1
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]


@dataclass(frozen=True, slots=True)
class LiveFeeds:
    """What the live routes work with."""

    gateway: Gateway
    access: Access
    hub: Hub
    presence: Presence
    limits: LiveLimits
    places: Places
    tickets: Tickets


Serve = Callable[[Session, "Asking"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asking:
    """The head of a WebSocket's handshake.

    Attributes:
        path: the parameters of the path.
        query: the parameters behind the question mark.
        grant: what a ticket lets it see; None where it came with a key.
    """

    path: dict[str, str]
    query: dict[str, str]
    context: Context
    grant: Grant | None = None

    def may_see(self, user_id: str | None = None, progress_id: str | None = None) -> bool:
        """Whether it may see what is about the user, the progress, or with neither everything."""
        if self.grant is None or not self.grant.limited:
            return True
        if user_id is not None and user_id == self.grant.user_id:
            return True
        return progress_id is not None and progress_id == self.grant.progress_id


class LiveSocket:
    """An ASGI application for one WebSocket route.

    Args:
        serve: what is done with the connection once it is open; checks its parameters in `check` before.
    """

    def __init__(self, feeds: LiveFeeds, serve: Serve, check: Callable[[Asking], None] = lambda _: None) -> None:
        self._feeds, self._serve, self._check = feeds, serve, check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        try:
            asking = await self._asking(scope, call)
            self._check(asking)
            with self._feeds.places.place(asking.context.tenant):
                await self._open(asking, scope, receive, send)
        except HttpProblem as error:
            await refuse_handshake(call, error, scope, receive, send)

    async def _asking(self, scope: Scope, call: Call) -> Asking:
        """Who asks for what.

        Raises:
            HttpProblem: 400, 401, 403 or 503.
        """
        path = dict(scope.get("path_params", {}))
        query = _parameters(scope["query_string"])
        ticket = query.pop("ticket", None)
        if ticket is None:
            context = replace(call, headers=_credentials(call, scope, query)).context(self._feeds.access)
            return Asking(path, query, context)
        try:
            grant = await self._feeds.tickets.redeem(digest_of(ticket))
        except StoreUnavailable as error:
            raise unavailable(str(error)) from error
        if grant is None:
            raise unauthorized("the ticket is not valid: it was used, or has run out; ask for a new one")
        context = Context(grant.tenant, call.message_id, grant.principal, correlation_id=call.given_correlation)
        return Asking(path, query, context, grant)

    async def _open(self, asking: Asking, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        offered = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": offered, "headers": []})
        write, shutdown = scope["extensions"][FRAMES]["write"], scope["app"].state.shutdown
        session = Session(self._feeds.hub, asking.context, self._feeds.limits, receive, send, write, shutdown)
        await self._serve(session, asking)


def _parameters(query_string: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(query_string.decode("latin-1"), max_num_fields=MOST_PARAMETERS, errors="strict"))
    except UnicodeDecodeError:
        raise malformed("a parameter of the address is not UTF-8") from None
    except ValueError:
        raise malformed(f"the address has more than {MOST_PARAMETERS} parameters") from None


def _credentials(call: Call, scope: Scope, query: dict[str, str]) -> dict[bytes, bytes]:
    """The headers, with what a browser cannot send as one: the key as a subprotocol, the tenant as a parameter."""
    headers = dict(call.headers)
    keys = [name.removeprefix(KEY_PREFIX) for name in scope["subprotocols"] if name.startswith(KEY_PREFIX)]
    if keys and b"authorization" not in headers:
        headers[b"authorization"] = b"Bearer " + _decoded(keys[0])
    tenant = query.get("tenant", "").encode()
    if tenant and headers.setdefault(b"x-tenant-id", tenant) != tenant:
        raise malformed("the header x-tenant-id and the parameter tenant name different tenants")
    return headers


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise malformed(f"what follows {KEY_PREFIX} is not base64url") from None

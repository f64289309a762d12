"""Who may ask, and for which tenant: API keys, or the open mode of a service that only this machine reaches."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.http.problems import forbidden, malformed, unauthorized
from millrace.contracts.operations import WORKING
from millrace.contracts.wire import ANONYMOUS, DEFAULT_TENANT, TENANT_PATTERN

TENANT_HEADERS = (b"x-tenant-id", b"x-tenant")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key. Only its SHA-256 is kept, never the key.

    Attributes:
        digest: SHA-256 of the key, 32 bytes.
        tenant: the only tenant that the key reaches.
        principal: the name that its commands are recorded under.
        claims_for: other tenants whose jobs its workers may claim; `("*",)` is all. In these tenants' names they send
            what concerns a claimed job, and nothing else.
        metrics: whether it reads the metrics, which name the queues of all tenants.
    """

    digest: bytes = field(repr=False)
    tenant: str
    principal: str
    claims_for: tuple[str, ...] = ()
    metrics: bool = False

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("the digest of an API key is a SHA-256 and has 32 bytes")
        if not TENANT_PATTERN.fullmatch(self.tenant):
            raise ValueError(f"{self.tenant!r} is not a tenant id: [A-Za-z0-9_-]{{1,64}}")

    @classmethod
    def of(
        cls,
        secret: str,
        tenant: str = DEFAULT_TENANT,
        principal: str | None = None,
        claims_for: Sequence[str] = (),
        metrics: bool = False,
    ) -> ApiKey:
        """The key for a secret; without a principal it is named after the digest's first characters."""
        digest = hashlib.sha256(secret.encode()).digest()
        return cls(digest, tenant, principal or f"key:{digest.hex()[:12]}", tuple(claims_for), metrics)

    def works_for(self, tenant: str) -> bool:
        """Whether its workers may claim the tenant's jobs."""
        return "*" in self.claims_for or tenant in self.claims_for


@dataclass(frozen=True, slots=True)
class Caller:
    """An identified caller."""

    tenant: str
    principal: str
    claims_for: tuple[str, ...] = ()


class Access:
    """Turns the credential of a request into a caller.

    Without keys every request is let in, and `X-Tenant-Id` chooses the tenant. With keys the key decides, and a header
    that names another tenant is refused, except for what workers of several tenants send about a job.
    """

    def __init__(self, keys: Sequence[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    @property
    def open(self) -> bool:
        """Whether anyone who reaches the port is let in."""
        return not self._keys

    def identify(self, headers: Mapping[bytes, bytes], command: str | None = None) -> Caller:
        """The caller behind a request, which sends `command` if it is one.

        Raises:
            HttpProblem: 400 for a malformed tenant header, 401 without a valid key, 403 for another
                tenant than the key's.
        """
        wished = _tenant(headers)
        if not self._keys:
            return Caller(wished or DEFAULT_TENANT, ANONYMOUS, ("*",))
        key = self._find(_credential(headers))
        if wished is not None and wished != key.tenant:
            if command in WORKING and key.works_for(wished):
                return Caller(wished, key.principal)
            raise forbidden("the API key belongs to another tenant than the one that the request names")
        return Caller(key.tenant, key.principal, key.claims_for)

    def check_metrics(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuses whoever may not see all tenants.

        Raises:
            HttpProblem: 401 without a valid key, 403 for a key that is not for metrics.
        """
        if self._keys and not self._find(_credential(headers)).metrics:
            raise forbidden(
                "the metrics name the queues of all tenants: give the API key `metrics: true` in the settings,"
                " or read them from its monitoring port"
            )

    def _find(self, secret: bytes | None) -> ApiKey:
        if secret is None:
            raise unauthorized("send an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`")
        digest = hashlib.sha256(secret).digest()
        found = None
        for key in self._keys:
            # Every key is compared, so that the time taken does not tell which one matched.
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None:
            raise unauthorized("the API key is not valid")
        return found


def _credential(headers: Mapping[bytes, bytes]) -> bytes | None:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key") or None


def _tenant(headers: Mapping[bytes, bytes]) -> str | None:
    named = {headers[name].decode("latin-1") for name in TENANT_HEADERS if name in headers}
    if not named:
        return None
    if len(named) > 1:
        raise malformed("the headers x-tenant-id and x-tenant name different tenants")
    tenant = named.pop()
    if not TENANT_PATTERN.fullmatch(tenant):
        raise malformed("the tenant header must match [A-Za-z0-9_-]{1,64}")
    return tenant

"""Where a client sends its messages, and in whose name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from millrace.contracts.wire import DEFAULT_TENANT, TENANT_PATTERN

DEFAULT_URL = "http://localhost:8000"


@dataclass(frozen=True, slots=True)
class Settings:
    """One client's address and identity.

    Attributes:
        url: `http(s)://…` or `amqp(s)://…`.
        timeout: seconds within which a command or query is answered, repeats included.
    """

    url: str
    tenant: str = DEFAULT_TENANT
    company: str | None = None
    actor: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for name, value in (("tenant", self.tenant), ("company", self.company)):
            if value is not None and not TENANT_PATTERN.fullmatch(value):
                raise ValueError(f"{name} {value!r} must match [A-Za-z0-9_-]{{1,64}}")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")


def settings_from(
    url: str | None, tenant: str, company: str | None, actor: str | None, api_key: str | None, timeout: float
) -> Settings:
    """Settings in which `MILLRACE_URL` and `MILLRACE_API_KEY` stand in for what the code leaves open."""
    return Settings(
        url=url or os.environ.get("MILLRACE_URL") or DEFAULT_URL,
        tenant=tenant,
        company=company,
        actor=actor,
        api_key=api_key or os.environ.get("MILLRACE_API_KEY"),
        timeout=timeout,
    )

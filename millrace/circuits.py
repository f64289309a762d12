"""`app.circuits`: jobs of a name pause when too many of their attempts fail, and go on when some succeed."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.contracts.circuit import Circuit, CircuitPolicy
from millrace.errors import NotFound

if TYPE_CHECKING:
    from millrace.client import Millrace


class Circuits:
    """Reads and steers the tenant's circuit breakers. They hold in all processes."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def configure(self, name: str, policy: CircuitPolicy | Mapping[str, Any]) -> None:
        """Gives the jobs of a name a circuit breaker, in place of the one that they have.

        Raises:
            Invalid: nothing would open it, or a value is not acceptable.
        """
        given = policy.model_dump() if isinstance(policy, CircuitPolicy) else dict(policy)
        await self._app.link.execute("circuit.configure", {**given, "name": name})

    async def reset(self, name: str, reason: str | None = None) -> None:
        """Closes the circuit by hand; what failed before does not count any more.

        Raises:
            NotFound: the name has none, or one of the configuration file that has never opened.
        """
        body = {"name": name} if reason is None else {"name": name, "reason": reason}
        await self._app.link.execute("circuit.reset", body)

    async def get(self, name: str) -> Circuit | None:
        """The circuit breaker of a name, or None where it has none."""
        try:
            answer = await self._app.link.query("circuit.get", {"name": name})
        except NotFound:
            return None
        return Circuit.model_validate(answer["circuit"])

    async def list(self) -> builtins.list[Circuit]:
        """Every name that has a circuit breaker."""
        answer = await self._app.link.query("circuit.list", {})
        return [Circuit.model_validate(each) for each in answer["circuits"]]

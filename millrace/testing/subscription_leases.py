"""Which worker delivers a subscription in memory, by the virtual clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import event as contract
from millrace.testing.clock import VirtualClock
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.refusals import Refusal


class SubscriptionLeases:
    """One worker at a time for each subscription."""

    def __init__(self, log: MemoryLog, clock: VirtualClock) -> None:
        self._log, self._clock = log, clock
        self._held: dict[Stream, tuple[str, datetime]] = {}

    def lease(self, tenant: str, command: contract.Lease) -> dict[str, Any]:
        """The answer to `subscription.lease`.

        Raises:
            Refusal: `not-found` where the tenant has no such subscription.
        """
        stream = Stream("subscription", tenant, command.name)
        now = self._clock.now()
        worker, expires_at = self._held.get(stream, ("", now))
        if command.seconds == 0:
            if worker == command.worker:
                del self._held[stream]
            return {"held": False, "lease": 0.0}
        if stream not in self._log.states:
            raise Refusal("not-found", f"there is no subscription {command.name!r}")
        if worker != command.worker and expires_at > now:
            return {"held": False, "lease": 0.0}
        self._held[stream] = command.worker, now + timedelta(seconds=command.seconds)
        return {"held": True, "lease": command.seconds}

"""How long a worker may believe that its attempts are valid. Pure: the time comes as an argument."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[str, int]

SAFE_SHARE = 0.8
CONFIRM_AFTER = 1.0
RENEW_EVERY = 10.0
RENEW_SHARE = 1 / 3
CONFIRM_SHARE = 1 / 5
TRY_AGAIN_AFTER = 1.0


def lease_clock() -> float:
    """Seconds on a clock that no adjustment moves, and that goes on while the machine sleeps where there is one."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


@dataclass(slots=True)
class _Lease:
    deadline: float
    renew_at: float


class Leases:
    """The attempts that a worker holds, each with the time after which it must have stopped.

    Deadlines are counted from when the worker sent its message, so that the way to the service and back is on the safe
    side, and leave a fifth of the lease for stopping.
    """

    def __init__(self) -> None:
        self._held: dict[Key, _Lease] = {}
        self._next_try = 0.0

    def __len__(self) -> int:
        return len(self._held)

    def grant(self, key: Key, *, sent: float, held: float, lease: float, now: float) -> bool:
        """Takes an attempt that came with the answer to a claim; false when it came too late to be started."""
        deadline = sent + held + SAFE_SHARE * lease
        if now >= deadline:
            return False
        self._held[key] = _Lease(deadline, now + min(CONFIRM_AFTER, CONFIRM_SHARE * lease))
        return True

    def release(self, key: Key) -> None:
        """The attempt's outcome is known to the service, or does not matter any more."""
        self._held.pop(key, None)

    def keys(self) -> list[Key]:
        """The attempts to name in a renewal."""
        return list(self._held)

    def renewal_due(self, now: float) -> bool:
        """Whether it is time to renew; a renewal is then sent with all attempts."""
        return now >= self._next_try and any(now >= lease.renew_at for lease in self._held.values())

    def renewing(self, now: float) -> None:
        """A renewal is on its way; the next one, should it fail, waits a little."""
        self._next_try = now + TRY_AGAIN_AFTER

    def renewed(self, keys: Iterable[Key], *, sent: float, lease: float) -> None:
        """The service has extended these attempts' leases."""
        for key in keys:
            if key in self._held:
                self._held[key] = _Lease(sent + SAFE_SHARE * lease, sent + min(RENEW_EVERY, RENEW_SHARE * lease))

    def expire(self, now: float) -> list[Key]:
        """Gives up the attempts whose time is over and names them: whatever still runs of them must stop."""
        expired = [key for key, lease in self._held.items() if now >= lease.deadline]
        for key in expired:
            del self._held[key]
        return expired

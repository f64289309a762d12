"""One channel over several providers: the next one helps out while the one before it rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from adapters.channels.provider import Deferred, Provider
from domain.channels import Delivery, NotConfigured, Outcome, Rejected, Sent, Unavailable

log = structlog.get_logger("adapters.channels")
REST_SECONDS = 30.0
MAX_REST_SECONDS = 300.0


@dataclass(slots=True)
class _Seat:
    """A provider, and whether it is being used.

    Attributes:
        until: when its rest ends, by the monotonic clock; it is then tried with one delivery, and with all again after
            that one has ended well.
    """

    provider: Provider
    until: float | None = None
    failures: int = 0
    tried: bool = False


class Failover:
    """Hands each delivery to the first provider that works. What each process learns it keeps to itself.

    A provider that is unavailable rests: 30 s, doubled each time up to 5 minutes, longer where it has asked for
    that itself, never more than 5 minutes. One that is not configured is passed over and has not failed. A refusal is
    final: another provider would only earn the same one. So is `Deferred`, which the recipient's side has caused.

    A provider that timed out may have taken the delivery; the next one sends it too, then, under the same Message-ID.

    Args:
        name: the channel's.
        providers: in order of preference.
        clock: seconds that never go back.
    """

    def __init__(self, name: str, providers: Sequence[Provider], clock: Callable[[], float]) -> None:
        self.name, self._clock = name, clock
        self._seats = [_Seat(provider) for provider in providers]

    @property
    def providers(self) -> Sequence[Provider]:
        """In order of preference."""
        return [seat.provider for seat in self._seats]

    async def send(self, delivery: Delivery) -> Outcome:
        missing: list[NotConfigured] = []
        failed: list[Unavailable] = []
        for seat in self._seats:
            if (wait := self._rests(seat)) is not None:
                failed.append(Unavailable(seat.provider.name, "it rests after a failure", wait))
                continue
            outcome = await self._through(seat, delivery)
            match outcome:
                case Sent() if failed:
                    return replace(outcome, detail=_reasons(failed))
                case Sent() | Rejected() | Deferred():
                    return outcome
                case NotConfigured():
                    missing.append(outcome)
                case Unavailable():
                    failed.append(outcome)
        if failed:
            return _all_failed(failed)
        return NotConfigured("; ".join(each.reason for each in missing) or f"{self.name} has no provider")

    async def close(self) -> None:
        """Closes every provider."""
        for seat in self._seats:
            await seat.provider.close()

    def _rests(self, seat: _Seat) -> float | None:
        """Seconds that it still rests; None when it may be tried."""
        if seat.until is None:
            return None
        remaining = seat.until - self._clock()
        if remaining > 0:
            return remaining
        return REST_SECONDS if seat.tried else None

    async def _through(self, seat: _Seat, delivery: Delivery) -> Outcome:
        resting_before = seat.until
        seat.tried = resting_before is not None
        try:
            outcome = await seat.provider.send(delivery)
        except Exception as error:
            # It says something about this delivery and nothing about the provider, which others go on using. The text
            # of the error may hold anything.
            kind = type(error).__name__
            log.warning("a provider raised", action="provider_raised", provider=seat.provider.name, error=kind)
            return Unavailable(seat.provider.name, f"it raised {kind}")
        finally:
            # also when it is cancelled: the next delivery tries it again then
            seat.tried = False
        if not isinstance(outcome, Unavailable) or isinstance(outcome, Deferred):
            seat.failures, seat.until = 0, None
        elif seat.until == resting_before:
            # else another delivery, under way at the same time, has put it to rest for the same trouble
            rest = max(REST_SECONDS * 2.0**seat.failures, outcome.retry_after or 0.0)
            seat.failures = min(seat.failures + 1, 10)
            seat.until = self._clock() + min(rest, MAX_REST_SECONDS)
        return outcome


def _all_failed(failed: Sequence[Unavailable]) -> Unavailable:
    waits = [each.retry_after for each in failed if each.retry_after is not None]
    if len(failed) == 1:
        return failed[0]
    return Unavailable(", ".join(each.provider for each in failed), _reasons(failed), min(waits) if waits else None)


def _reasons(failed: Sequence[Unavailable]) -> str:
    return "; ".join(f"{each.provider}: {each.reason}" for each in failed)

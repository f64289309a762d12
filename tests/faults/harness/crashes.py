"""Crash points: a tap between each service and its servers, and which service reaches which point."""

from __future__ import annotations

import asyncio

from tests.faults.harness.processes import Service
from tests.faults.harness.tap import Hit, Tap
from tests.faults.harness.tap_amqp import AmqpTap
from tests.faults.harness.tap_postgres import PostgresTap

# How much of the load may pass before the crash: the point is then reached with something else under way each time.
MOST_PASSES = 5
REACHED_SECONDS = 40.0
ROLE = {"relay": "relay", "feeder": "relay", "projection": "projector", "lease": "api", "append": "api", "claim": "api",
        "command": "api", "report": "api"}  # fmt: skip
RELAY = ("relay.before_publish", "relay.after_publish_before_confirm", "relay.after_confirm_before_mark",
         "relay.after_mark")  # fmt: skip
PROJECTION = ("projection.before_write", "projection.after_write_before_commit", "projection.after_commit")
COMMANDS = (
    "append.before", "append.before_commit", "append.after_commit_before_answer", "claim.before_grant",
    "claim.after_grant_before_reply", "lease.renew", "command.after_commit_before_reply",
    "command.after_reply_before_ack", "report.after_commit_before_reply",
)  # fmt: skip
FEEDER = ("feeder.before_publish", "feeder.after_publish_before_confirm")


class Taps:
    """The taps of one service."""

    def __init__(self, postgres: PostgresTap, amqp: AmqpTap | None) -> None:
        self.postgres, self.amqp = postgres, amqp

    @property
    def all(self) -> list[Tap]:
        return [tap for tap in (self.postgres, self.amqp) if tap is not None]

    def at(self, point: str) -> Tap:
        """The tap that knows the point.

        Raises:
            ValueError: none does.
        """
        for tap in self.all:
            if point in tap.points:
                return tap
        raise ValueError(f"no tap knows the point {point!r}")


def points(names: tuple[str, ...], each: int) -> dict[str, int]:
    """So many crashes at each of the points, for a schedule."""
    return {f"crash.{name}": each for name in names}


def reaches(service: Service, point: str) -> bool:
    """Whether the service has the role whose messages stand at the point."""
    return service.roles is None or ROLE[point.partition(".")[0]] in service.roles.split(",")


async def crashed(taps: Taps, point: str, size: float, kill: Hit) -> None:
    """Returns when `kill` has been done at the exact message.

    Args:
        size: 0 to 1; how many messages pass the point first.

    Raises:
        TimeoutError: the point was not reached.
    """
    tap = taps.at(point)
    armed = tap.arm(point, kill, nth=1 + round(size * MOST_PASSES))
    try:
        await armed.hit(REACHED_SECONDS)
    finally:
        # It must not hit later, when nobody counts it.
        tap.disarm(armed)


class Lanes:
    """One crash at a time for each service, while others go on."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, service: Service) -> asyncio.Lock:
        return self._locks.setdefault(service.name, asyncio.Lock())

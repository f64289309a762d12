"""Durable named subscriptions: creating them, moving their place, setting events aside."""

from __future__ import annotations

from typing import Any

from domain.errors import Refusal
from domain.ports import SubscriptionLeases
from domain.subscription import Subscription
from handlers.positions import position_of
from handlers.routes import CommandRoute, Decided, Moment, OperationRoute
from millrace.contracts import event as contract
from millrace.contracts.wire import Context, Token


class NoSuchSubscription(Refusal):
    """Raised when a worker wants to deliver a subscription that the tenant does not have."""

    code = "not-found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no subscription {name!r}")
        self.name = name


def create(subscription: Subscription | None, command: contract.Subscribe, at: Moment) -> Decided:
    if subscription is None:
        subscription = Subscription.create(
            at.stream,
            at.now,
            name=command.name,
            pattern=command.pattern,
            delivery=command.delivery,
            position=position_of(command.start, at.epoch, at.head),
            priority=command.priority,
            max_attempts=command.max_attempts,
        )
    else:
        subscription.change(
            pattern=command.pattern,
            delivery=command.delivery,
            priority=command.priority,
            max_attempts=command.max_attempts,
            now=at.now,
        )
    return _told(subscription, at)


def acknowledge(subscription: Subscription, command: contract.Acknowledge, at: Moment) -> Decided:
    subscription.acknowledge(position_of(command.position, at.epoch, at.head), at.head, at.now)
    return _told(subscription, at)


def park(subscription: Subscription, command: contract.Park, at: Moment) -> Decided:
    position = position_of(command.position, at.epoch, at.head)
    subscription.park(position, command.event_id, command.error, command.attempts, at.now)
    return _told(subscription, at)


def release(subscription: Subscription, command: contract.Release, at: Moment) -> Decided:
    subscription.release(command.event_id, at.now)
    return _told(subscription, at)


def set_active(subscription: Subscription, command: contract.SetActive, at: Moment) -> Decided:
    subscription.set_active(command.active, at.now)
    return _told(subscription, at)


def _told(subscription: Subscription, at: Moment) -> Decided:
    token = Token(epoch=at.epoch, position=subscription.position)
    return Decided(
        subscription, {"name": subscription.name, "is_active": subscription.is_active, "position": str(token)}
    )


def _named(command: Any, _: Context) -> str:
    return str(command.name)


def command_routes() -> dict[str, CommandRoute]:
    return {
        "subscription.create": CommandRoute(
            contract.Subscribe, Subscription, create, _named, required=False, needs_head=True
        ),
        "subscription.acknowledge": CommandRoute(
            contract.Acknowledge, Subscription, acknowledge, _named, needs_head=True
        ),
        "subscription.park": CommandRoute(contract.Park, Subscription, park, _named, needs_head=True),
        "subscription.release": CommandRoute(contract.Release, Subscription, release, _named),
        "subscription.set_active": CommandRoute(contract.SetActive, Subscription, set_active, _named),
    }


def operation_routes(leases: SubscriptionLeases) -> dict[str, OperationRoute]:
    """Who delivers a subscription right now: carried out each time it arrives."""

    async def lease(command: contract.Lease, context: Context) -> dict[str, Any]:
        if command.seconds == 0:
            await leases.release(context.tenant, command.name, command.worker)
            return {"held": False, "lease": 0.0}
        hold = await leases.take(context.tenant, command.name, command.worker, command.seconds)
        if hold == "unknown":
            raise NoSuchSubscription(command.name)
        held = hold == "held"
        return {"held": held, "lease": command.seconds if held else 0.0}

    return {"subscription.lease": OperationRoute(contract.Lease, lease)}

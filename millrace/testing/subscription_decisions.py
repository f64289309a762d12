"""What follows from a command to a subscription: the events, or a refusal."""

from __future__ import annotations

from millrace.contracts import event as contract
from millrace.contracts.wire import Fact
from millrace.testing.refusals import Refusal
from millrace.testing.subscription_state import SubscriptionState


def create(subscription: SubscriptionState | None, command: contract.Subscribe, position: int) -> list[Fact]:
    settings = command.model_dump(include={"pattern", "delivery", "priority", "max_attempts"})
    if subscription is None:
        return [contract.SubscriptionCreated(name=command.name, position=position, **settings)]
    wanted = (command.pattern, command.delivery, command.priority, command.max_attempts)
    return [] if wanted == subscription.settings else [contract.SubscriptionChanged(**settings)]


def acknowledge(subscription: SubscriptionState, position: int) -> list[Fact]:
    return [contract.SubscriptionAdvanced(position=position)] if position > subscription.place else []


def park(subscription: SubscriptionState, command: contract.Park, position: int) -> list[Fact]:
    if command.event_id in subscription.parked:
        return []
    return [
        contract.SubscriptionParked(
            position=position, event_id=command.event_id, error=command.error, attempts=command.attempts
        )
    ]


def release(subscription: SubscriptionState, command: contract.Release) -> list[Fact]:
    if command.event_id not in subscription.parked:
        raise Refusal("refused", f"subscription {subscription.name!r} has not parked event {command.event_id}")
    return [contract.SubscriptionReleased(event_id=command.event_id)]


def set_active(subscription: SubscriptionState, command: contract.SetActive) -> list[Fact]:
    if command.active == subscription.is_active:
        return []
    return [contract.SubscriptionActivated() if command.active else contract.SubscriptionPaused()]

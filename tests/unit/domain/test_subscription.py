"""The rules of a durable named subscription."""

from __future__ import annotations

from typing import Any

from domain import subscription
from domain.errors import AheadOfLog, NotParked, TooManyParked
from domain.subscription import Subscription
from tests.controls.clock import NOW, later
from tests.support.spec import given

STREAM = "subscription:acme:billing"


def wish(**changed: Any) -> dict[str, Any]:
    return {
        "name": "billing",
        "pattern": "job.#",
        "delivery": "pull",
        "position": 17,
        "priority": 7,
        "max_attempts": 3,
    } | changed


def created(**changed: Any) -> subscription.Created:
    return subscription.Created(STREAM, 1, NOW, **wish(**changed))


def parked(version: int, position: int = 21) -> subscription.Parked:
    return subscription.Parked(
        STREAM, version, later(2), position=position, event_id="e-21", error="no such account", attempts=3
    )


def test_a_subscription_begins_at_its_position() -> None:
    it = given().when(lambda _: Subscription.create(STREAM, NOW, **wish())).then(created())
    assert it.to_wire()["position"] == 17


def test_other_settings_are_recorded_and_the_place_stays() -> None:
    settings: dict[str, Any] = {"pattern": "job.completed", "delivery": "queue", "priority": 2, "max_attempts": 9}
    it = (
        given(created())
        .when(lambda it: it.change(**settings, now=later(1)))
        .then(subscription.Changed(STREAM, 2, later(1), **settings))
    )
    assert it.to_wire()["position"] == 17


def test_the_same_settings_change_nothing() -> None:
    settings = {name: wish()[name] for name in ("pattern", "delivery", "priority", "max_attempts")}
    given(created()).when(lambda it: it.change(**settings, now=later(1))).nothing()


def test_an_acknowledgement_moves_the_place_forward() -> None:
    given(created()).when(lambda it: it.acknowledge(19, 30, later(1))).then(
        subscription.Advanced(STREAM, 2, later(1), position=19)
    )


def test_an_older_acknowledgement_changes_nothing() -> None:
    given(created()).when(lambda it: it.acknowledge(17, 30, later(1))).nothing()
    given(created()).when(lambda it: it.acknowledge(3, 30, later(1))).nothing()


def test_what_the_log_has_not_reached_cannot_be_acknowledged() -> None:
    given(created()).when(lambda it: it.acknowledge(31, 30, later(1))).refused(AheadOfLog)


def test_an_event_that_cannot_be_handled_is_set_aside_and_the_place_moves_behind_it() -> None:
    it = given(created()).when(lambda it: it.park(21, "e-21", "no such account", 3, later(2))).then(parked(2))
    assert it.to_wire()["position"] == 21


def test_parking_an_older_event_does_not_move_the_place_back() -> None:
    it = given(created()).when(lambda it: it.park(5, "e-21", "no such account", 3, later(2))).then(parked(2, 5))
    assert it.to_wire()["position"] == 17


def test_parking_twice_changes_nothing() -> None:
    given(created(), parked(2)).when(lambda it: it.park(21, "e-21", "again", 4, later(3))).nothing()


def test_a_released_event_leaves_the_list() -> None:
    released = subscription.Released(STREAM, 3, later(3), event_id="e-21")
    it = given(created(), parked(2)).when(lambda it: it.release("e-21", later(3))).then(released)
    assert it.to_wire()["parked"] == []


def test_only_a_parked_event_can_be_released() -> None:
    given(created()).when(lambda it: it.release("e-21", later(3))).refused(NotParked)


def test_a_subscription_is_paused_and_resumed_once() -> None:
    paused = subscription.Paused(STREAM, 2, later(1))
    given(created()).when(lambda it: it.set_active(False, later(1))).then(paused)
    given(created(), paused).when(lambda it: it.set_active(False, later(2))).nothing()
    given(created(), paused).when(lambda it: it.set_active(True, later(3))).then(
        subscription.Activated(STREAM, 3, later(3))
    )


def test_a_subscription_that_parks_without_end_is_stopped() -> None:
    history = [
        subscription.Parked(STREAM, n + 2, later(2), position=21 + n, event_id=f"e-{n}", error="no", attempts=3)
        for n in range(subscription.MOST_PARKED)
    ]
    given(created(), *history).when(lambda it: it.park(5_000, "e-last", "no", 3, later(3))).refused(TooManyParked)

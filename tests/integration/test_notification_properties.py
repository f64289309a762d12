"""On the service itself, whatever users prefer and however channels answer: no step of a notification is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.channels import Delivery, NotConfigured, Outcome, Rejected, Sent, Unavailable
from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Batch, Context
from tests.support.eventually import eventually
from tests.support.running import running
from tests.support.systems import answered, executed

T = TypeVar("T")
DEADLINE = 60.0
ATTEMPTS = 3
CATEGORIES = ("news", "billing")
USERS = ("kim", "lee")
SERVED = ("email", "sms")
CHANNELS = ("in-app", *SERVED, "push", "pigeon")
ENDS = ("sent", "delivered", "suppressed", "failed")
QUICK = {"notifications": {"delivery": {"max_attempts": ATTEMPTS, "backoff": {"kind": "fixed", "delay": 0.01}}}}

channels = st.lists(st.sampled_from(CHANNELS), max_size=4, unique=True)


def quiet_hours(begin: int, hours: int, zone: str) -> dict[str, str]:
    """Quiet hours that begin in so many hours, by the clock of the zone: never about to begin or to end."""
    start = datetime.now(ZoneInfo(zone)) + timedelta(hours=begin)
    return {"start": f"{start:%H:%M}", "end": f"{start + timedelta(hours=hours):%H:%M}", "timezone": zone}


zones = st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata"])
quiet = st.builds(quiet_hours, st.sampled_from([-4, -2, 3]), st.sampled_from([6, 9]), zones)
some = st.fixed_dictionaries(
    {},
    optional={
        "channels": channels,
        "categories": st.dictionaries(st.sampled_from(CATEGORIES), st.booleans()),
        "matrix": st.dictionaries(
            st.sampled_from(CATEGORIES), st.dictionaries(st.sampled_from(CHANNELS), st.booleans())
        ),
        "quiet_hours": quiet,
    },
)
# Without these, most would be unwanted.
preferences = st.one_of(st.just({}), st.fixed_dictionaries({"quiet_hours": quiet}), some)
EVERYWHERE = dict.fromkeys(SERVED, "one@example.org")
contacts = st.sampled_from([EVERYWHERE, EVERYWHERE, {"email": "one@example.org"}, {}])
endings = st.sampled_from(["sent", "sent", "sent", "later", "never", "wrong", "unset"])
triggers = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(USERS),
            "title": st.just("t"),
            "metadata": st.fixed_dictionaries({"ending": endings}),
            "channels": st.one_of(st.just(SERVED), channels.filter(bool)),
        },
        optional={
            "category": st.sampled_from(CATEGORIES),
            "critical": st.booleans(),
            "throttle": st.just({"key": "k", "limit": 2, "per": 3_600}),
            "digest": st.just({"key": "d", "window": 0.3}),
        },
    ),
    min_size=4,
    max_size=12,
)


class Vendor:
    """A channel that answers as the notification's metadata say.

    Attributes:
        sent: what it has taken: tenant, notification, channel.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[tuple[str, str, str]] = []

    async def send(self, delivery: Delivery) -> Outcome:
        match (delivery.metadata or {}).get("ending", "sent"):
            case "later" if delivery.attempt == 1:
                return Unavailable(self.name, "busy", 0.0)
            case "never":
                return Unavailable(self.name, "away", 0.0)
            case "wrong":
                return Rejected(self.name, "no such address")
            case "unset":
                return NotConfigured("no key was given")
            case _:
                self.sent.append((delivery.tenant, delivery.notification_id, self.name))
                return Sent(self.name, f"m-{len(self.sent)}")


class Tenant:
    """What a tenant asks of the service."""

    def __init__(self, system: System) -> None:
        self._system, self.name = system, f"t{uuid4().hex[:12]}"

    async def tell(self, command: str, body: Any) -> Accepted | Batch:
        answer = await executed(self._system, command, body, Context(self.name, uuid4().hex))
        assert isinstance(answer, Accepted | Batch), answer
        return answer

    async def send(self, wishes: list[dict[str, Any]]) -> list[str]:
        answer = await self.tell("notification.send", wishes)
        assert isinstance(answer, Batch)
        ids = [each.result["notification_id"] for each in answer.items if isinstance(each, Accepted)]
        assert len(ids) == len(wishes), answer
        return ids

    async def ask(self, query: str, body: Any) -> dict[str, Any]:
        answer = await answered(self._system, query, body, Context(self.name, uuid4().hex))
        assert isinstance(answer, Accepted), answer
        return answer.result

    async def all(self) -> list[dict[str, Any]]:
        """Every notification, digests too."""
        page = await self.ask("notification.list", {"scope": "all", "limit": 200})
        found: list[dict[str, Any]] = page["notifications"]
        return found

    async def last_words(self, id: str) -> dict[str, list[str]]:
        """What the log says of each channel: how often and how it ended, or that it is put off."""
        words: dict[str, list[str]] = {}
        for event in (await self.ask("log.history", {"kind": "notification", "id": id}))["events"]:
            word, channel = event["eventtype"].partition(".")[2], event["data"].get("channel")
            if word in ENDS:
                words[channel] = [each for each in words.get(channel, []) if each != "deferred"] + [word]
            elif word == "deferred":
                words[channel] = [*words.get(channel, []), word][-1:]
        return words


def under_way(delivery: dict[str, Any]) -> bool:
    return delivery["status"] == "queued" or (delivery["status"] == "deferred" and delivery["reason"] == "digest")


async def each_ends_once(
    tenant: Tenant,
    vendors: list[Vendor],
    default: dict[str, Any],
    own: dict[str, dict[str, Any]],
    reached: dict[str, dict[str, str]],
    wishes: list[dict[str, Any]],
) -> None:
    await tenant.tell("notification.set_preferences", {"user_id": "*", **default})
    for user in USERS:
        await tenant.tell("notification.set_preferences", {"user_id": user, **own[user]})
        await tenant.tell("notification.set_contacts", {"user_id": user, "contacts": reached[user]})
    ids = await tenant.send(wishes)

    def all_over(found: list[dict[str, Any]]) -> bool:
        known = {each["id"] for each in found}
        return known >= {*ids} and not any(under_way(step) for each in found for step in each["deliveries"])

    found = {each["id"]: each for each in await eventually(tenant.all, all_over, DEADLINE)}
    counts, steps = Counter[str](), 0
    for id, each in found.items():
        told = await tenant.last_words(id)
        assert told == {step["channel"]: [step["status"]] for step in each["deliveries"]}, "the log and the list agree"
        assert sorted(told) == sorted(each["channels"])
        assert all(step["reason"] for step in each["deliveries"] if step["status"] not in ("sent", "delivered"))
        counts.update(word for [word] in told.values())
        steps += len(each["channels"])
    assert steps == sum(counts[word] for word in (*ENDS, "deferred")) == counts.total()
    marked = {
        (id, step["channel"]) for id, each in found.items() for step in each["deliveries"] if step["status"] == "sent"
    }
    taken = [(id, channel) for vendor in vendors for owner, id, channel in vendor.sent if owner == tenant.name]
    assert sorted(taken) == sorted(marked), "what is sent was taken, once"
    digested = [
        (id, step["channel"])
        for id, each in found.items()
        for step in each["deliveries"]
        if step["reason"] == "digested"
    ]
    summed_up = Counter((id, each["channels"][0]) for each in found.values() for id in each["digest_of"])
    assert summed_up == dict.fromkeys(digested, 1), "each digested one is in exactly one digest"


async def test_every_trigger_is_sent_deferred_suppressed_or_failed(fresh_database_url: str) -> None:
    vendors = [Vendor(name) for name in SERVED]
    async with running(fresh_database_url, http=False, channels=vendors, modules=QUICK) as service:
        loop = asyncio.get_running_loop()

        def run(work: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(work, loop).result(DEADLINE * 2)

        # What fails waits until its deadline, so that shrinking it would take hours.
        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(
            default=preferences,
            own=st.fixed_dictionaries({user: preferences for user in USERS}),
            reached=st.fixed_dictionaries({user: contacts for user in USERS}),
            wishes=triggers,
        )
        def holds(
            default: dict[str, Any],
            own: dict[str, dict[str, Any]],
            reached: dict[str, dict[str, str]],
            wishes: list[dict[str, Any]],
        ) -> None:
            run(each_ends_once(Tenant(service.system), vendors, default, own, reached, wishes))

        await asyncio.to_thread(holds)

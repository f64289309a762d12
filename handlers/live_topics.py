"""Who listens for what: subscribers by topic, found for an event without looking at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from millrace.contracts.wire import Problem, matches

MOST_ROUTES = 10_000
# A reader's own progress is no news: only who asks for subscriptions by name sees their advances.
QUIET = "subscription.advanced"


class Format(Protocol):
    """How one protocol writes what a subscriber is sent; an empty text is not sent."""

    def event(self, event: LiveEvent, topic: Topic) -> bytes:
        """An event, or a sample where it has no position."""
        ...

    def caught_up(self, topic: Topic, position: str) -> bytes:
        """Everything recorded up to the position was sent; what follows is live."""
        ...

    def heartbeat(self, topic: Topic, position: str) -> bytes:
        """Nothing new for the subscriber up to the position."""
        ...

    def unavailable(self, topic: Topic) -> bytes:
        """The log cannot be read for the moment."""
        ...

    def refusal(self, topic: Topic, problem: Problem) -> bytes:
        """The position cannot be continued from; nothing follows."""
        ...


class Topic(NamedTuple):
    """What one subscription is about; subscribers of equal topics are sent the same bytes.

    Attributes:
        pattern: over event types.
        subject: only events of this aggregate.
        user_id: only events whose data names this user.
    """

    tenant: str
    format: Format
    pattern: str
    subject: str | None = None
    user_id: str | None = None

    def takes(self, event: LiveEvent) -> bool:
        """Whether an event of the tenant that matches the pattern is for this topic."""
        return self.subject in (None, event.subject) and self.user_id in (None, event.user_id)


class LiveEvent:
    """An event, or a sample, on its way to subscribers: described and written as JSON once, if anybody wants it.

    Attributes:
        position: 0 for a sample.
    """

    __slots__ = ("_cloud", "_describe", "_json", "event_type", "position", "subject", "tenant")

    def __init__(
        self, tenant: str, event_type: str, subject: str, position: int, describe: Callable[[], Mapping[str, Any]]
    ) -> None:
        self.tenant, self.event_type, self.subject, self.position = tenant, event_type, subject, position
        self._describe = describe
        self._cloud: Mapping[str, Any] | None = None
        self._json: bytes | None = None

    @classmethod
    def of(cls, cloud: Mapping[str, Any]) -> LiveEvent:
        """The event that a CloudEvent with a position describes."""
        position = int(cloud["position"].rpartition("-")[2])
        return cls(cloud["tenant"], cloud["eventtype"], cloud["subject"], position, lambda: cloud)

    @property
    def cloud(self) -> Mapping[str, Any]:
        """The event as a CloudEvent."""
        if self._cloud is None:
            self._cloud = self._describe()
        return self._cloud

    @property
    def json(self) -> bytes:
        """The CloudEvent as JSON in UTF-8."""
        if self._json is None:
            self._json = to_json(self.cloud, inf_nan_mode="null")
        return self._json

    @property
    def user_id(self) -> object:
        """Whom the event is about, where its data says so."""
        data = self.cloud["data"]
        return data.get("user_id") if isinstance(data, Mapping) else None


class Listener(Protocol):
    """Takes what its topic is sent; returns at once."""

    def deliver(self, position: int, frame: bytes) -> None: ...


class Topics:
    """Listeners by tenant, pattern, then subject and user; which patterns an event type matches is remembered."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, dict[tuple[str | None, str | None], dict[Topic, dict[Listener, None]]]]] = {}
        self._routes: dict[tuple[str, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def add(self, topic: Topic, listener: Listener) -> None:
        patterns = self._tenants.setdefault(topic.tenant, {})
        if topic.pattern not in patterns:
            self._routes.clear()
        groups = patterns.setdefault(topic.pattern, {})
        groups.setdefault((topic.subject, topic.user_id), {}).setdefault(topic, {})[listener] = None

    def remove(self, topic: Topic, listener: Listener) -> None:
        """Forgets a listener, and with the last one of a topic the topic."""
        patterns = self._tenants.get(topic.tenant, {})
        groups = patterns.get(topic.pattern, {})
        filtered = groups.get((topic.subject, topic.user_id), {})
        listeners = filtered.get(topic, {})
        listeners.pop(listener, None)
        if filtered and not listeners:
            filtered.pop(topic, None)
        if groups and not filtered:
            groups.pop((topic.subject, topic.user_id), None)
        if patterns and not groups:
            patterns.pop(topic.pattern, None)
            self._routes.clear()
        if not patterns:
            self._tenants.pop(topic.tenant, None)

    def wanted(self, event: LiveEvent) -> list[tuple[Topic, list[Listener]]]:
        """The topics that the event is for, with those who listen; they may leave while they are told."""
        patterns = self._tenants.get(event.tenant)
        if patterns is None:
            return []
        found: list[tuple[Topic, list[Listener]]] = []
        for pattern in self._matching(event.tenant, event.event_type, patterns):
            groups = patterns[pattern]
            keys: list[tuple[str | None, str | None]] = [(None, None), (event.subject, None)]
            # Whom an event is about is in its data, which is only made where somebody asks by user.
            if any(user is not None for _, user in groups):
                user = event.user_id
                if isinstance(user, str):
                    keys += [(None, user), (event.subject, user)]
            for key in keys:
                found += [(topic, list(listeners)) for topic, listeners in groups.get(key, {}).items()]
        return found

    def _matching(self, tenant: str, event_type: str, patterns: Mapping[str, object]) -> list[str]:
        route = self._routes.get((tenant, event_type))
        if route is None:
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            route = [
                pattern
                for pattern in patterns
                if matches(pattern, event_type) and (event_type != QUIET or pattern.startswith("subscription"))
            ]
            self._routes[tenant, event_type] = route
        return route

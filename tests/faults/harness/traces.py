"""C4: judges what each consumer of events saw against the log. Pure; each function returns findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.harness.checkers import Event


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as a consumer got it; `stream` is its aggregate, `version` its place in there."""

    id: str
    position: int
    tenant: str
    stream: str
    version: int
    eventtype: str

    @classmethod
    def of(cls, event: Event) -> Seen:
        stream = f"{event['tenant']}:{event['source']}:{event['subject']}"
        return cls(event["id"], position(event), event["tenant"], stream, event["version"], event["eventtype"])


@dataclass(slots=True)
class Trace:
    """What one consumer saw, in the order in which it saw it.

    Attributes:
        tenant: whose events it may see; None for an operator's queue, which gets everybody's.
        exact: it promises every event once; otherwise repeats are allowed and left out before judging.
        whole: it promises that nothing is missing; a plain queue does not once the broker's data was deleted.
        ordered: it promises the log's own order; otherwise only each stream's.
    """

    name: str
    tenant: str | None
    exact: bool = False
    whole: bool = True
    ordered: bool = True
    seen: list[Seen] = field(default_factory=list)

    def wants(self, seen: Seen) -> bool:
        """Whether it is promised the event: its own progress is no news to whoever follows everything of a tenant."""
        return self.tenant is None or (self.tenant == seen.tenant and seen.eventtype != "subscription.advanced")

    @property
    def repeated(self) -> int:
        """How many events came more than once."""
        return len(self.seen) - len({each.id for each in self.seen})

    def holds(self, log: Sequence[Event]) -> bool:
        """Whether everything that it is promised of this log has come; true at once where nothing is promised."""
        wanted = {each.id for each in map(Seen.of, log) if self.wants(each)}
        return not self.whole or wanted <= {each.id for each in self.seen}

    def cut(self, log: Sequence[Event]) -> None:
        """Forgets what was recorded after the end of this log."""
        head = position(log[-1]) if log else 0
        self.seen = [each for each in self.seen if each.position <= head]


def position(event: Event) -> int:
    return int(str(event["position"]).rpartition("-")[2])


def wrong_traces(traces: Iterable[Trace], log: Sequence[Event]) -> list[str]:
    """Holes, inversions, repeats and other tenants' events, in every consumer's trace."""
    everything = [Seen.of(event) for event in log]
    return [f"{trace.name}: {finding}" for trace in traces for finding in _wrong(trace, everything)]


def foreign_events(traces: Iterable[Trace]) -> list[str]:
    """C11: events of another tenant in somebody's trace."""
    return [
        f"{trace.name} of {trace.tenant} saw {seen.eventtype} of {seen.tenant}"
        for trace in traces
        for seen in trace.seen
        if trace.tenant not in (None, seen.tenant)
    ]


def _wrong(trace: Trace, everything: Sequence[Seen]) -> Iterable[str]:
    wanted = [seen for seen in everything if trace.wants(seen)]
    got = list({seen.id: seen for seen in trace.seen}.values())
    if trace.exact and len(got) != len(trace.seen):
        yield f"{trace.repeated} events came twice"
    known = {seen.id for seen in wanted}
    # Another tenant's are counted elsewhere.
    if strange := [seen for seen in got if seen.id not in known and trace.tenant in (None, seen.tenant)]:
        yield f"{len(strange)} events are not in the log, the first at {strange[0].position}"
    if trace.whole:
        missing = known - {seen.id for seen in got}
        if missing:
            first = min(seen.position for seen in wanted if seen.id in missing)
            yield f"{len(missing)} of {len(known)} events are missing, the first at position {first}"
    if trace.ordered:
        last = 0
        for seen in got:
            if seen.position < last:
                yield f"position {seen.position} came after {last}"
            last = seen.position
    newest: dict[str, int] = defaultdict(int)
    for seen in got:
        if seen.version <= newest[seen.stream]:
            yield f"{seen.stream}: version {seen.version} came after {newest[seen.stream]}"
        newest[seen.stream] = seen.version

"""Given events, when a decision, then events: the one way to test an aggregate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from domain.aggregate import Aggregate, Event
from domain.errors import Refusal
from projections.registry import AGGREGATES

R = TypeVar("R", bound=Refusal)


def given(*history: Event) -> History:
    """What has happened so far; nothing, for a decision that creates."""
    return History(history)


@dataclass(frozen=True)
class History:
    events: tuple[Event, ...]

    def when(self, decision: Callable[[Any], Any]) -> Decision:
        return Decision(self.events, decision)


@dataclass(frozen=True)
class Decision:
    history: tuple[Event, ...]
    decide: Callable[[Any], Any]

    def then(self, *events: Event) -> Aggregate:
        """The decision records exactly these events, and a replay comes to the state that it left behind."""
        aggregate = self._decided()
        assert aggregate.collected() == list(events)
        assert type(aggregate).replayed([*self.history, *events]) == aggregate
        return aggregate

    def nothing(self) -> Aggregate:
        """The wish is fulfilled already: no event, no refusal."""
        return self.then()

    def refused(self, kind: type[R]) -> R:
        """The decision is refused, and the aggregate is as it was."""
        aggregate = replayed(self.history)
        with pytest.raises(kind) as caught:
            self.decide(aggregate)
        assert type(caught.value) is kind
        if aggregate is not None:
            assert aggregate.collected() == []
            assert aggregate == replayed(self.history)
        return caught.value

    def _decided(self) -> Aggregate:
        aggregate = replayed(self.history)
        made = self.decide(aggregate)
        return made if aggregate is None else aggregate


def replayed(history: tuple[Event, ...]) -> Aggregate | None:
    if not history:
        return None
    return AGGREGATES[history[0].TOPIC.partition(".")[0]].replayed(history)

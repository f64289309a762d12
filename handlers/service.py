"""The gateway: every entry point's one door to commands, operations and queries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from domain.errors import Refusal
from domain.ports import StoreOverloaded, StoreUnavailable
from handlers.pipeline import Pipeline
from handlers.problems import invalid, problem, refused
from handlers.routes import CommandRoute, OperationRoute, QueryRoute
from handlers.siblings import are_siblings, enqueue_siblings
from millrace.contracts.wire import MAX_BATCH_ITEMS, Accepted, Batch, Context, Refused, Reply

log = structlog.get_logger("gateway")


class BehindPosition(Refusal):
    """Raised when a read model does not reach the wanted position in time; `reached` says how far it got."""

    code = "behind"

    def __init__(self, reader: str, wanted: str, reached: str) -> None:
        super().__init__(f"{reader} has reached {reached}, not yet {wanted}; ask again")
        self.reader, self.wanted, self.reached = reader, wanted, reached


class Service:
    """Implements `handlers.gateway.Gateway`.

    Args:
        wait_for: waits until a reader has scanned a position token; raises `BehindPosition` or another `Refusal`.
    """

    def __init__(
        self,
        commands: Mapping[str, CommandRoute],
        operations: Mapping[str, OperationRoute],
        queries: Mapping[str, QueryRoute],
        pipeline: Pipeline,
        wait_for: Callable[[str, str], Awaitable[None]],
    ) -> None:
        doubled = commands.keys() & operations.keys()
        if doubled:
            raise ValueError(f"commands with two routes: {sorted(doubled)}")
        self._commands, self._operations, self._queries = commands, operations, queries
        self._pipeline, self._wait_for = pipeline, wait_for

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        if name in self._operations:
            return await self._perform(self._operations[name], body, context)
        if name not in self._commands:
            known = ", ".join(sorted([*self._commands, *self._operations]))
            return refused("unknown-command", f"there is no command {name!r}; known are {known}")
        if not isinstance(body, list):
            answers = await self._carried_out(name, [(body, context)])
            return answers if isinstance(answers, Refused) else answers[0]
        if len(body) > MAX_BATCH_ITEMS:
            return refused("too-large", f"a batch has at most {MAX_BATCH_ITEMS} items, this one has {len(body)}")
        items = [_unwrapped(item, context, index) for index, item in enumerate(body)]
        answers = await self._carried_out(name, items)
        return answers if isinstance(answers, Refused) else Batch(answers)

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        route = self._queries.get(name)
        if route is None:
            return refused("unknown-query", f"there is no query {name!r}; known are {', '.join(sorted(self._queries))}")
        try:
            question = route.model.model_validate(body)
            if min_position is not None and route.reader is not None:
                await self._wait_for(route.reader, min_position)
            return Accepted(await route.answer(question, context))
        except ValidationError as error:
            return invalid(error)
        except Refusal as refusal:
            return Refused(problem(refusal.code, str(refusal), **refusal.extra))
        except (StoreUnavailable, StoreOverloaded) as error:
            return refused("unavailable", str(error), retry_after=1.0)

    async def _carried_out(
        self, name: str, items: Sequence[tuple[object, Context]]
    ) -> list[Accepted | Refused] | Refused:
        if self._commands[name].siblings and are_siblings(items):
            return await enqueue_siblings(partial(self._pipelined, name), items)
        return await self._pipelined(name, items)

    async def _pipelined(self, name: str, items: Sequence[tuple[object, Context]]) -> list[Accepted | Refused]:
        answers = await self._pipeline.execute(name, items)
        follower = self._commands[name].followed_by
        if follower is not None:
            for answer in answers:
                if isinstance(answer, Accepted) and answer.position is not None:
                    try:
                        await self._wait_for(follower, answer.position)
                    except Refusal:
                        # The command is durable and will be followed; only how soon was wished for.
                        break
        return list(answers)

    async def _perform(self, route: OperationRoute, body: object, context: Context) -> Accepted | Refused:
        try:
            return Accepted(await route.perform(route.model.model_validate(body), context))
        except ValidationError as error:
            return invalid(error)
        except Refusal as refusal:
            return Refused(problem(refusal.code, str(refusal)))
        except (StoreUnavailable, StoreOverloaded) as error:
            return refused("unavailable", str(error), retry_after=1.0)


def _unwrapped(item: Any, context: Context, index: int) -> tuple[object, Context]:
    """A batch item is the command's body, or `{"id", "body"}` where it brings an id of its own."""
    if isinstance(item, dict) and item.keys() == {"id", "body"} and isinstance(item["id"], str):
        return item["body"], context.item(index, item["id"] if 0 < len(item["id"]) <= 128 else None)
    return item, context.item(index)

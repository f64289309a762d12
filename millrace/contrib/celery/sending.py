"""Sends signatures as jobs, each after those that it gets results from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contrib.celery.results import AsyncResult, GroupResult

if TYPE_CHECKING:
    from millrace.client import Millrace
    from millrace.contrib.celery.canvas import Node, chain, group
    from millrace.contrib.celery.signature import Signature


@dataclass(frozen=True)
class Upstream:
    """What the next signature comes after. `many`: it gets a list of results, even of one."""

    result: AsyncResult | GroupResult
    ids: Sequence[str]
    many: bool


async def send_task(client: Millrace, signature: Signature, upstream: Upstream | None = None) -> AsyncResult:
    """Enqueues one task, and behind it its callbacks."""
    many = upstream is not None and upstream.many
    arguments = signature.arguments_of_job("result" if upstream else None, many)
    if upstream is not None:
        arguments["after"] = upstream.ids
    job = await client.jobs.enqueue(**arguments)
    result = AsyncResult(job.id, signature.app, upstream.result if upstream else None)
    for callback in signature.links:
        await send_task(client, callback, Upstream(result, [job.id], many=False))
    return result


async def send(client: Millrace, node: Node, upstream: Upstream | None = None) -> AsyncResult | GroupResult:
    """Enqueues whatever was put together, from its beginning on."""
    from millrace.contrib.celery.canvas import chain, chord, group
    from millrace.contrib.celery.signature import Signature

    match node:
        case Signature():
            return await send_task(client, node, upstream)
        case chain():
            return await _send_chain(client, node, upstream)
        case group():
            return await _send_group(client, node, upstream)
        case chord():
            return await send(client, node.body, _behind(await _send_group(client, node.header, upstream)))


async def _send_chain(client: Millrace, node: chain, upstream: Upstream | None) -> AsyncResult | GroupResult:
    first, *rest = node.tasks
    result = await send(client, first, upstream)
    for each in rest:
        result = await send(client, each, _behind(result))
    return result


async def _send_group(client: Millrace, node: group, upstream: Upstream | None) -> GroupResult:
    results = await asyncio.gather(*(send(client, task, upstream) for task in node.tasks))
    return GroupResult(list(results), upstream.result if upstream else None)


def _behind(result: AsyncResult | GroupResult) -> Upstream:
    match result:
        case AsyncResult():
            return Upstream(result, [result.id], many=False)
        case GroupResult():
            return Upstream(result, [leaf.id for leaf in result.leaves()], many=True)

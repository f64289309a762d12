"""Enqueues the jobs of one call that come after each other, parents first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from handlers.problems import problem, refused
from millrace.contracts.siblings import Item, SiblingProblem, Siblings, name_siblings
from millrace.contracts.wire import Accepted, Context, Refused, derived_id

Bodies = Sequence[tuple[object, Context]]
Execute = Callable[[Bodies], Awaitable[list[Accepted | Refused]]]


def are_siblings(items: Bodies) -> bool:
    """Whether jobs of the call name each other."""
    return name_siblings([body for body, _ in items])


async def enqueue_siblings(execute: Execute, items: Bodies) -> list[Accepted | Refused] | Refused:
    """The answers in the order of the items; or the refusal of the whole call, of which nothing was carried out then.

    Not a transaction: where a job is refused, those that come after it are refused too, and the others go on.
    """
    try:
        siblings = Siblings(
            [
                Item(body, context.message_id, derived_id(context.tenant, context.message_id, context.principal))
                for body, context in items
            ]
        )
    except SiblingProblem as error:
        return Refused(problem(error.code, str(error), **error.extra))
    answers: dict[int, Accepted | Refused] = {}
    job_ids: dict[int, str] = {}
    for generation in siblings.generations:
        going = []
        for index in generation:
            if (barred := _barred(siblings, index, answers)) is not None:
                answers[index] = barred
            else:
                going.append(index)
        told = await execute([(siblings.body(index, job_ids), items[index][1]) for index in going])
        for index, answer in zip(going, told, strict=True):
            # Of one generation, parents come first: what they were answered is known here.
            answers[index] = (_barred(siblings, index, answers) if isinstance(answer, Refused) else None) or answer
            if isinstance(answer, Accepted):
                job_ids[index] = str(answer.result["job_id"])
    return [answers[index] for index in range(len(items))]


def _barred(siblings: Siblings, index: int, answers: dict[int, Accepted | Refused]) -> Refused | None:
    """The refusal of a job that comes after a refused one."""
    for parent in siblings.parents(index):
        answer = answers.get(parent)
        if isinstance(answer, Refused):
            # What may be there on a second try must not be remembered as missing.
            code = "unavailable" if answer.problem.code in ("unavailable", "conflict") else "unknown-parent"
            detail = f"{siblings.name(parent)}, which it is to run after, was refused: {answer.problem.detail}"
            return refused(code, detail, retry_after=answer.problem.retry_after)
    return None

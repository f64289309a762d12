"""Jobs of one call that come after each other, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from millrace.contracts.siblings import Item, SiblingProblem, Siblings
from millrace.contracts.wire import Accepted, Context, Refused, derived_id
from millrace.testing.refusals import refused


def enqueue_siblings(
    execute: Callable[[object, Context], Accepted | Refused], items: Sequence[tuple[object, Context]]
) -> list[Accepted | Refused] | Refused:
    """The answers in the order of the items, or the refusal of the whole call."""
    try:
        siblings = Siblings(
            [
                Item(body, context.message_id, derived_id(context.tenant, context.message_id, context.principal))
                for body, context in items
            ]
        )
    except SiblingProblem as error:
        return refused(error.code, str(error), **error.extra)
    answers: dict[int, Accepted | Refused] = {}
    job_ids: dict[int, str] = {}
    for index in (index for generation in siblings.generations for index in generation):
        answer = _barred(siblings, index, answers) or execute(siblings.body(index, job_ids), items[index][1])
        answers[index] = answer
        if isinstance(answer, Accepted):
            job_ids[index] = str(answer.result["job_id"])
    return [answers[index] for index in range(len(items))]


def _barred(siblings: Siblings, index: int, answers: dict[int, Accepted | Refused]) -> Refused | None:
    for parent in siblings.parents(index):
        answer = answers[parent]
        if isinstance(answer, Refused):
            name = siblings.name(parent)
            return refused("unknown-parent", f"{name}, which it is to run after, was refused: {answer.problem.detail}")
    return None

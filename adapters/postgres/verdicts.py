"""Looks, under the append lock, which appends of a batch cannot be stored and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from adapters.postgres.ancestry import Ancestry, is_related
from adapters.postgres.bindings import Bindings, parts_of
from adapters.postgres.rows import Link
from domain.ports import Append, Conflict, Duplicate, Outcome

KNOWN = """
SELECT k.ord, i.body_hash, i.answer, i.position
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant, principal, id, ord)
  JOIN inbox i ON i.tenant = k.tenant AND i.principal = k.principal AND i.command_id = k.id
"""
VERSIONS = """
SELECT s.stream, (SELECT max(originator_version) FROM stored_events WHERE originator_id = s.stream) AS version
  FROM unnest($1::text[]) AS s(stream)
"""
LAPSED = """
SELECT l.stream, l.attempt FROM leases l
 WHERE l.stream = ANY ($1::text[]) AND l.expires_at < clock_timestamp()
"""


@dataclass(slots=True)
class Verdicts:
    """For each append of a batch a reason why it cannot be stored, or None where it can.

    Attributes:
        links: by the append's number, the jobs that its new job has to wait for.
        ancestry: what the appends that can be stored change in it; None where there is nothing to store.
    """

    outcomes: list[Outcome | None]
    links: dict[int, Sequence[Link]] = field(default_factory=dict)
    ancestry: Ancestry | None = None


def is_guarded(append: Append) -> bool:
    """Whether the append may only be stored under a condition that somebody has to look up."""
    work = append.work
    return (
        append.lapsed_attempt is not None
        or (work is not None and (work.unique is not None or work.parents is not None or work.batch is not None))
        or is_related(append)
    )


async def verdicts(
    connection: asyncpg.Connection[asyncpg.Record], appends: Sequence[Append], all_of_them: bool
) -> Verdicts:
    """Looks up what stands against each append, or only against those that are guarded.

    Appends of one batch stand on each other: where one cannot be stored, the later ones of its stream conflict; a key
    that one takes is taken for the next.
    """
    asked = [append for append in appends if all_of_them or is_guarded(append)]
    known = await _known(connection, asked)
    streams = list({part.stream.text for append in asked for part in parts_of(append) if part.stream is not None})
    versions = {row["stream"]: row["version"] or 0 for row in await connection.fetch(VERSIONS, streams)}
    guarded = [a.stream.text for a in asked if a.lapsed_attempt is not None and a.stream is not None]
    lapsed = {(row["stream"], row["attempt"]) for row in await connection.fetch(LAPSED, guarded)} if guarded else set()
    bindings = await Bindings.looked_up(connection, asked)
    ancestry = await Ancestry.looked_up(connection, asked)

    found = Verdicts([], ancestry=ancestry)
    broken: set[str] = set()
    for number, append in enumerate(appends):
        outcome: Outcome | None = _duplicate(append, known)
        parts = [(part, part.stream.text) for part in parts_of(append) if part.stream is not None]
        if outcome is None and any(
            text in broken
            or versions.get(text, part.expected_version) != part.expected_version
            or (part.lapsed_attempt is not None and (text, part.lapsed_attempt) not in lapsed)
            for part, text in parts
        ):
            outcome = Conflict()
        if outcome is None:
            outcome = bindings.objection(append) or ancestry.objection(append)
        if outcome is not None:
            broken.update(text for _, text in parts)
        else:
            for part, text in parts:
                versions[text] = part.expected_version + len(part.events)
            bindings.note(append)
            ancestry.note(append)
            if links := bindings.links(append):
                found.links[number] = links
        found.outcomes.append(outcome)
    return found


async def _known(
    connection: asyncpg.Connection[asyncpg.Record], appends: Sequence[Append]
) -> dict[tuple[str, str, str], asyncpg.Record]:
    """What is remembered of the commands, by their identity."""
    identities = [append.key.identity for append in appends if append.key is not None]
    if not identities:
        return {}
    rows = await connection.fetch(KNOWN, *zip(*identities, strict=True))
    return {identities[row["ord"] - 1]: row for row in rows}


def _duplicate(append: Append, known: dict[tuple[str, str, str], asyncpg.Record]) -> Duplicate | None:
    row = known.get(append.key.identity) if append.key is not None else None
    if row is None or append.key is None:
        return None
    return Duplicate(row["answer"], row["position"], row["body_hash"] == append.key.body_hash)

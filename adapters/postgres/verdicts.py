"""Looks, under the append lock, which appends of a batch cannot be stored and why."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

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


async def outcomes_before(
    connection: asyncpg.Connection[asyncpg.Record], appends: Sequence[Append]
) -> list[Outcome | None]:
    """For each append a `Duplicate`, a `Conflict`, or None where it can be stored.

    Appends of one batch to the same stream stand on each other: where one cannot be stored, the later ones conflict.
    """
    keys = [append.key for append in appends]
    known = {
        row["ord"] - 1: row
        for row in await connection.fetch(
            KNOWN,
            [key.tenant if key else "" for key in keys],
            [key.principal if key else "" for key in keys],
            [key.command_id if key else "" for key in keys],
        )
    }
    streams = list({append.stream.text for append in appends if append.stream is not None})
    versions = {row["stream"]: row["version"] or 0 for row in await connection.fetch(VERSIONS, streams)}
    guarded = [a.stream.text for a in appends if a.lapsed_attempt is not None and a.stream is not None]
    lapsed = {(row["stream"], row["attempt"]) for row in await connection.fetch(LAPSED, guarded)} if guarded else set()

    outcomes: list[Outcome | None] = []
    broken: set[str] = set()
    for index, append in enumerate(appends):
        outcome: Outcome | None = None
        row = known.get(index)
        if row is not None:
            same = append.key is not None and row["body_hash"] == append.key.body_hash
            outcome = Duplicate(row["answer"], row["position"], same)
        elif append.stream is not None:
            text = append.stream.text
            still_leased = append.lapsed_attempt is not None and (text, append.lapsed_attempt) not in lapsed
            if text in broken or versions[text] != append.expected_version or still_leased:
                outcome = Conflict()
            else:
                versions[text] += len(append.events)
        if outcome is not None and append.stream is not None:
            broken.add(append.stream.text)
        outcomes.append(outcome)
    return outcomes

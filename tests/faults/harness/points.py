"""The named points between a process and its servers, and what is to be seen on the wire there.

Of the taps only this names tables, exchanges and queues; it matches tables and kinds of statements, not whole texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True, slots=True)
class SqlRule:
    """What stands at a point.

    Attributes:
        at: "statement": it is being sent. "commit": the COMMIT of a transaction that had it is being sent.
            "committed": the server has committed it, in a transaction or on its own, and that answer is on its way.
        sql: found in the statement's text.
        parameter: one of its parameters is exactly this.
    """

    point: str
    at: Literal["statement", "commit", "committed"]
    sql: str
    parameter: bytes | None = None


APPEND = r"\bappend_(batch|and_grant)\s*\(|\b(INSERT\s+INTO|COPY)\s+\"?stored_events\b"
MARK = r"\bUPDATE\s+readers\b.*\bposition\b"
READ_MODEL = r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|COPY)\s+\"?job\w*_v\d+\b"
# A flush with claims; the function that it calls makes the leases.
GRANT = r"\bappend_and_grant\s*\("
SQL_RULES = (
    SqlRule("append.before", "statement", APPEND),
    SqlRule("append.before_commit", "commit", APPEND),
    SqlRule("append.after_commit_before_answer", "committed", APPEND),
    SqlRule("claim.before_grant", "statement", GRANT),
    SqlRule("claim.after_grant_before_reply", "committed", GRANT),
    SqlRule("lease.renew", "statement", r"\bUPDATE\s+leases\b.*\bconfirmed\s*=\s*true"),
    SqlRule("relay.after_confirm_before_mark", "statement", MARK, b"relay"),
    SqlRule("relay.after_mark", "committed", MARK, b"relay"),
    SqlRule("projection.before_write", "statement", READ_MODEL),
    SqlRule("projection.after_write_before_commit", "commit", MARK, b"jobs"),
    SqlRule("projection.after_commit", "committed", MARK, b"jobs"),
)
AT_ONCE = frozenset(rule.point for rule in SQL_RULES if rule.at == "statement")
AT_COMMIT = frozenset(rule.point for rule in SQL_RULES if rule.at == "commit")
COMMITTED = frozenset(rule.point for rule in SQL_RULES if rule.at == "committed")

COMMANDS, EVENTS = r"^millrace\.(commands|calls)$", r"^millrace\.events$"
REQUESTS = r"^millrace\.(commands|calls|claims)$"
BY_QUEUE = r"^$"
REPORT = r"\.job\.report$"
SUBSCRIPTION = r"^millrace\.sub\."
# A reply goes to whatever queue its sender named, with the request's name as its type.
REPLY = r"^(?!millrace\.)"
CLAIMED, REPORTED = r"^job\.claim$", r"^job\.report$"
COMMAND = r"^(?!job\.(claim|report|get|list|stats)$|log\.|subscription\.(get|list)$)"


@dataclass(frozen=True, slots=True)
class MessageRule:
    """What stands at a point; expressions that are None match everything.

    Attributes:
        at: "publish": a message is being published, whole. "confirm": the broker confirms a message of that exchange.
            "acknowledge": a delivery of that queue is being acknowledged.
        place: found in the name of the exchange, or for an acknowledgement of the queue.
        key: found in the routing key.
        type: found in the message's type; known while it is being published.
    """

    point: str
    at: Literal["publish", "confirm", "acknowledge"]
    place: str
    key: str | None = None
    type: str | None = None


MESSAGE_RULES = (
    MessageRule("relay.before_publish", "publish", EVENTS),
    MessageRule("relay.after_publish_before_confirm", "confirm", EVENTS),
    MessageRule("feeder.before_publish", "publish", BY_QUEUE, SUBSCRIPTION),
    MessageRule("feeder.after_publish_before_confirm", "confirm", BY_QUEUE, SUBSCRIPTION),
    MessageRule("command.after_commit_before_reply", "publish", BY_QUEUE, REPLY, COMMAND),
    MessageRule("command.after_reply_before_ack", "acknowledge", COMMANDS),
    MessageRule("claim.after_grant_before_reply", "publish", BY_QUEUE, REPLY, CLAIMED),
    MessageRule("report.before_ack", "acknowledge", REQUESTS, REPORT),
    MessageRule("report.after_commit_before_reply", "publish", BY_QUEUE, REPLY, REPORTED),
    # of a worker, or of another client
    MessageRule("report.before_publish", "publish", REQUESTS, REPORT),
    MessageRule("command.before_publish", "publish", COMMANDS),
    MessageRule("command.after_publish_before_confirm", "confirm", COMMANDS),
)


@lru_cache(maxsize=4_096)
def sql_rules(text: str) -> tuple[SqlRule, ...]:
    """The rules whose text a statement has; its parameters are still to be looked at."""
    return tuple(rule for rule in SQL_RULES if re.search(rule.sql, text, re.IGNORECASE | re.DOTALL))


@lru_cache(maxsize=4_096)
def message_points(at: str, place: str, key: str, message_type: str) -> frozenset[str]:
    """The points at which a message stands."""
    return frozenset(
        rule.point
        for rule in MESSAGE_RULES
        if rule.at == at
        and re.search(rule.place, place)
        and (rule.key is None or re.search(rule.key, key))
        and (rule.type is None or re.search(rule.type, message_type))
    )

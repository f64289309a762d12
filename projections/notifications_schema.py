"""The tables of the `notifications` read model."""

from __future__ import annotations

CREATE = """
CREATE TABLE IF NOT EXISTS notifications_v{v} (
    tenant        text        NOT NULL,
    id            text        NOT NULL,
    position      bigint      NOT NULL,
    company       text,
    user_id       text        NOT NULL,
    type          text        NOT NULL,
    title         text        NOT NULL,
    message       text        NOT NULL,
    html          text,
    category      text,
    action_url    text,
    action_label  text,
    metadata      json        NOT NULL,
    channels      text[]      NOT NULL,
    critical      boolean     NOT NULL,
    in_inbox      boolean     NOT NULL,
    locale        text,
    template      json,
    digest_of     text[]      NOT NULL,
    created_at    timestamptz NOT NULL,
    read_at       timestamptz,
    snoozed_until timestamptz,
    cancelled     boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS notifications_v{v}_user_idx ON notifications_v{v} (tenant, user_id, position);
CREATE INDEX IF NOT EXISTS notifications_v{v}_position_idx ON notifications_v{v} (tenant, position);
CREATE INDEX IF NOT EXISTS notifications_v{v}_unread_idx ON notifications_v{v} (tenant, user_id)
    WHERE in_inbox AND read_at IS NULL AND snoozed_until IS NULL AND NOT cancelled;
CREATE INDEX IF NOT EXISTS notifications_v{v}_snoozed_idx ON notifications_v{v} (snoozed_until)
    WHERE snoozed_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS notifications_v{v}_read_idx ON notifications_v{v} (read_at) WHERE read_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notifications_v{v}_old_idx ON notifications_v{v} (created_at) WHERE read_at IS NULL;
CREATE TABLE IF NOT EXISTS notification_deliveries_v{v} (
    tenant              text        NOT NULL,
    notification_id     text        NOT NULL,
    channel             text        NOT NULL,
    user_id             text        NOT NULL,
    position            bigint      NOT NULL,
    status              text        NOT NULL,
    reason              text,
    detail              text,
    due_at              timestamptz,
    attempts            integer     NOT NULL DEFAULT 0,
    provider            text,
    provider_message_id text,
    delivery_id         text,
    sent_at             timestamptz,
    updated_at          timestamptz NOT NULL,
    throttle_key        text,
    digest_key          text,
    is_digest           boolean     NOT NULL,
    PRIMARY KEY (tenant, notification_id, channel)
);
CREATE INDEX IF NOT EXISTS notification_deliveries_v{v}_due_idx ON notification_deliveries_v{v} (channel, due_at)
    WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notification_deliveries_v{v}_next_idx ON notification_deliveries_v{v} (due_at)
    WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notification_deliveries_v{v}_deferred_idx
    ON notification_deliveries_v{v} (tenant, user_id, channel, position) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notification_deliveries_v{v}_throttle_idx
    ON notification_deliveries_v{v} (tenant, user_id, channel, throttle_key, sent_at) WHERE throttle_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS notification_deliveries_v{v}_status_idx
    ON notification_deliveries_v{v} (tenant, status, position);
CREATE TABLE IF NOT EXISTS inboxes_v{v} (
    tenant      text NOT NULL,
    user_id     text NOT NULL,
    preferences json NOT NULL,
    contacts    json NOT NULL,
    locale      text,
    timezone    text,
    PRIMARY KEY (tenant, user_id)
);
CREATE TABLE IF NOT EXISTS templates_v{v} (
    tenant     text        NOT NULL,
    name       text        NOT NULL,
    version    integer     NOT NULL,
    locales    text[]      NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
);
"""
TABLES = ("notifications", "notification_deliveries", "inboxes", "templates")

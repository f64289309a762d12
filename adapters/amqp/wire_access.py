"""The few attributes of aiormq's channel that writing packed frames needs, in one place.

They are public by name but not documented; `supports_packed_frames` tells whether this version of the library still
has them, a contract test fails when one goes, and every caller has a slower way without them.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame

REQUIRED = (
    "lock",
    "number",
    "delivery_tag",
    "confirmations",
    "message_id_delivery_tag",
    "write_queue",
    "max_content_size",
    "create_future",
)


async def low_level(channel: AbstractChannel) -> aiormq.Channel:
    """aiormq's channel under aio-pika's."""
    return cast(aiormq.Channel, await channel.get_underlay_channel())


def supports_packed_frames(channel: object) -> bool:
    return all(hasattr(channel, name) for name in REQUIRED)


async def hand_over(channel: aiormq.Channel, payload: bytes) -> asyncio.Future[Any]:
    """Puts packed frames in line, behind which others may come at once; the future tells when the socket has them."""
    written: asyncio.Future[Any] = channel.create_future()
    await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False, drain_future=written))
    return written


async def write(channel: aiormq.Channel, payload: bytes) -> None:
    """Writes packed frames and waits until the socket has taken them."""
    await (await hand_over(channel, payload))

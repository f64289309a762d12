"""What keeps the places of the log's readers does."""

from __future__ import annotations

import asyncio

from adapters.contracts.appends import name
from domain.ports import Readers

DEADLINE = 60.0


class ReadersContract:
    """The fixture `readers` is an empty `Readers`."""

    async def test_a_reader_begins_where_it_is_told_and_only_once(self, readers: Readers) -> None:
        await readers.ensure("mails", 7)
        await readers.ensure("mails", 12)
        assert await readers.position("mails") == 7

    async def test_a_reader_moves_forward_and_never_back(self, readers: Readers) -> None:
        await readers.ensure("mails")
        for position in (3, 9, 5):
            await readers.advance("mails", position)
        assert await readers.position("mails") == 9

    async def test_readers_have_places_of_their_own(self, readers: Readers) -> None:
        await readers.ensure("mails")
        await readers.ensure("bills")
        await readers.advance("mails", 4)
        assert (await readers.position("mails"), await readers.position("bills")) == (4, 0)

    async def test_a_reader_goes_on_without_the_streams_that_it_holds(self, readers: Readers) -> None:
        await readers.ensure("mails")
        await readers.ensure("bills")
        await readers.hold("mails", name("a"), 3, "it cannot be read")
        await readers.hold("mails", name("a"), 3, "it cannot be read")
        await readers.hold("mails", name("b"), 4, "it cannot be read")
        assert await readers.held_streams("mails") == {name("a").text, name("b").text}
        assert await readers.held_streams("bills") == set()

    async def test_one_leads_a_reader_and_the_next_one_when_it_is_done(self, readers: Readers) -> None:
        order: list[str] = []
        leads = asyncio.Event()

        async def first() -> None:
            async with readers.leadership("mails"):
                leads.set()
                order.append("first begins")
                await readers.ensure("mails")
                order.append("first ends")

        async def second() -> None:
            await leads.wait()
            async with readers.leadership("mails"):
                order.append("second begins")

        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(first(), second())
        assert order == ["first begins", "first ends", "second begins"]

    async def test_readers_are_led_beside_each_other(self, readers: Readers) -> None:
        async with asyncio.timeout(DEADLINE), readers.leadership("mails"), readers.leadership("bills"):
            await readers.ensure("mails")
        assert await readers.position("mails") == 0

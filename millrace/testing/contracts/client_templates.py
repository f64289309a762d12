"""Templates: versions, languages, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from millrace import Invalid, NotFound
from millrace.testing.contracts.bench import Bench

USER = "user-1"
TEXT = {"title": "Hello {{ name }}", "message": "{{ n }} files", "html": "<b>{{ name }}</b>"}


class TemplatesContract:
    async def test_a_notification_says_what_its_template_makes_and_names_the_version(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        assert await notifications.templates.save("welcome", **TEXT) == 1
        assert await notifications.templates.save("welcome", **TEXT) == 1
        sent = await notifications.send(user_id=USER, template="welcome", context={"name": "<Kim>", "n": 3})
        found = await notifications.get(sent.id)
        assert found is not None
        assert (found.title, found.message) == ("Hello <Kim>", "3 files")
        assert found.template == {"name": "welcome", "version": 1, "locale": None}
        [created, *_] = await bench.app.history("notification", sent.id)
        assert created.data["html"] == "<b>&lt;Kim&gt;</b>"
        assert await notifications.templates.save("welcome", title="Hi {{ name }}") == 2
        later = await notifications.send(user_id=USER, template="welcome", context={"name": "Kim"})
        assert [each.title for each in await notifications.list(USER)] == ["Hi Kim", "Hello <Kim>"]
        again = await notifications.get(later.id)
        assert again is not None
        assert again.template == {"name": "welcome", "version": 2, "locale": None}
        first = await notifications.templates.get("welcome", version=1)
        assert first is not None
        assert first.locales[""] == TEXT

    async def test_the_best_language_is_taken(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.templates.save("done", title="Done")
        await notifications.templates.save("done", title="Fertig", locale="de")
        await notifications.templates.save("done", title="Färtig", locale="de-CH")
        await notifications.set_contacts(USER, locale="de-AT")
        for locale, title, used in (("de-CH", "Färtig", "de-CH"), (None, "Fertig", "de"), ("fr", "Done", None)):
            wish = {"user_id": USER, "template": "done"}
            sent = await notifications.send(wish if locale is None else {**wish, "locale": locale})
            found = await notifications.get(sent.id)
            assert found is not None
            assert (found.title, found.template) == (title, {"name": "done", "version": 3, "locale": used})

    async def test_a_missing_variable_is_named_and_nothing_is_sent(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.templates.save("welcome", **TEXT)
        with pytest.raises(Invalid, match=r"'welcome' cannot be filled: title: missing: name"):
            await notifications.send(user_id=USER, template="welcome", context={"n": 3})
        with pytest.raises(Invalid, match="no template 'nobody'"):
            await notifications.send(user_id=USER, template="nobody")
        assert await notifications.list(USER) == []

    async def test_a_template_is_tried_before_it_is_used(self, bench: Bench) -> None:
        templates = bench.app.notifications.templates
        await templates.save("welcome", **TEXT)
        shown = await templates.preview("welcome", {"name": "Kim", "n": 1})
        assert (shown.title, shown.message, shown.html) == ("Hello Kim", "1 files", "<b>Kim</b>")
        with pytest.raises(Invalid, match="missing: n"):
            await templates.preview("welcome", {"name": "Kim"})

    async def test_what_cannot_be_read_is_not_saved(self, bench: Bench) -> None:
        templates = bench.app.notifications.templates
        for title in ("{{ broken", "{% include 'secrets' %}", "{{ x | nothing }}"):
            with pytest.raises(Invalid, match="title"):
                await templates.save("bad", title=title)
        assert await templates.get("bad") is None

    async def test_templates_are_listed_and_removed(self, bench: Bench) -> None:
        templates = bench.app.notifications.templates
        await templates.save("b", title="b", locale="de")
        await templates.save("a", title="a")
        await bench.until(templates.list, lambda listed: len(listed) == 2)
        assert [(each.name, each.locales) for each in await templates.list()] == [("a", ("",)), ("b", ("de",))]
        await templates.remove("a")
        await templates.remove("a")
        assert await templates.get("a") is None
        await bench.until(templates.list, lambda listed: [each.name for each in listed] == ["b"])
        with pytest.raises(Invalid, match="no template 'a'"):
            await bench.app.notifications.send(user_id=USER, template="a")
        with pytest.raises(NotFound):
            await templates.remove("nobody")
        assert await templates.save("a", title="again") == 2
        async with bench.other("somebody-else") as other:
            assert await other.notifications.templates.get("b") is None

    async def test_a_template_to_one_address(self, bench: Bench) -> None:
        notifications = bench.app.notifications
        await notifications.templates.save("code", title="Your code is {{ code }}")
        sent = await notifications.send_notification("sms", "+41790000000", "code", {"code": 1234})
        found = await notifications.get(sent.id)
        assert found is not None
        assert (found.title, found.user_id, found.channels) == ("Your code is 1234", "+41790000000", ("sms",))

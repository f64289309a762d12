"""Templates that lie in the folders of the configuration, on the service itself."""

from __future__ import annotations

from pathlib import Path

from millrace import Millrace
from tests.support.channels import Recorder
from tests.support.eventually import eventually
from tests.support.running import running

DEADLINE = 60.0


async def test_a_notification_says_what_a_file_says_until_a_stored_template_goes_before_it(
    fresh_database_url: str, tmp_path: Path
) -> None:
    notifications, email = tmp_path / "notifications", tmp_path / "email"
    for folder, text in ((notifications, "from notifications"), (email, "from email")):
        folder.mkdir()
        (folder / "both.title.txt").write_text(f"{{{{ name }}}} {text}")
    (notifications / "welcome.title.txt").write_text("Hello {{ name }}")
    (notifications / "welcome.de.title.txt").write_text("Grüezi {{ name }}")
    (notifications / "welcome.de.html").write_text("<b>{{ name }}</b>")
    modules = {
        "notifications": {
            "templates": {"dir": str(notifications)},
            "channels": {"email": {"template_dir": str(email)}},
        }
    }
    recorder = Recorder("email")
    async with (
        running(fresh_database_url, channels=[recorder], modules=modules) as service,
        Millrace(service.url, timeout=DEADLINE) as app,
    ):

        async def sent(template: str) -> tuple[str, object]:
            wish = {"user_id": "kim", "template": template, "context": {"name": "<Kim>"}, "locale": "de-CH"}
            told = await app.notifications.send({**wish, "channels": ["email"], "recipient": "kim@example.org"})
            found = await app.notifications.get(told.id)
            assert found is not None
            assert found.template is not None
            return found.title, found.template["version"]

        title, version = await sent("welcome")
        assert title == "Grüezi <Kim>"
        assert version not in (None, 1)
        await eventually(recorder.news.wait, bool, DEADLINE)
        assert recorder.taken[0].html == "<b>&lt;Kim&gt;</b>"
        assert (await sent("both"))[0] == "<Kim> from email"
        await app.notifications.templates.save("welcome", title="Stored for {{ name }}")
        assert await sent("welcome") == ("Stored for <Kim>", 1)

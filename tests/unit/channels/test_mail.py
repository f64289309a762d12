"""Mail: whatever a notification says, it is one mail to one address, and says that."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.channels.mail import BadAddress, NonAsciiAddress, compose, message_id, recipient, sender
from adapters.contracts.channels import a_delivery

NOW = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "Content-Type",
    "Content-Transfer-Encoding", "MIME-Version",
}  # fmt: skip


@settings(deadline=None)
@given(title=TEXT, message=TEXT, html=st.none() | TEXT, locale=st.none() | TEXT, label=st.none() | TEXT)
def test_no_text_adds_a_header_or_a_recipient(
    title: str, message: str, html: str | None, locale: str | None, label: str | None
) -> None:
    delivery = a_delivery(title=title, message=message, html=html, locale=locale, action_label=label)
    content = bytes(compose(delivery, "Sender <noreply@example.com>", NOW))
    mail = message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert {*mail.keys()} <= HEADERS
    assert len(mail.keys()) == len({*mail.keys()})
    assert [each.addr_spec for each in mail["To"].addresses] == [delivery.address]
    assert mail["Message-ID"] == message_id(delivery, "noreply@example.com")
    for line in content.split(b"\r\n"):
        assert len(line) <= 998
        assert b"\n" not in line


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b,c@d", "a@b;c@d", "<a@b>", "a@b\nc", "a\0@b", "a@=?utf-8?q?=0d=0ac?="],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress) as error:
        recipient(text)
    assert error.value.address == text


@pytest.mark.parametrize("word", ["=?utf-8?q?=0d=0aBcc:z@z?=", "=?utf-8?b?DQpCY2M6IHpAeg==?=", "=?=?utf-8?q?=0a?=?="])
def test_an_encoded_word_in_a_title_is_shown_as_it_is_and_begins_no_header(word: str) -> None:
    delivery = a_delivery(title=f"Hello \u00fc {word} {word}")
    content = bytes(compose(delivery, "noreply@example.com", NOW))
    mail = message_from_bytes(content, policy=policy.default)
    assert {*mail.keys()} <= HEADERS
    assert mail["Subject"] == f"Hello \u00fc {word} {word}".replace("=?", "= ?")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a@example.com", ("", "a@example.com")),
        ("Ann Example <a@example.com>", ("Ann Example", "a@example.com")),
        ('"Example, Ann" <a@example.com>', ("Example, Ann", "a@example.com")),
    ],
)
def test_a_sender_may_have_a_name(text: str, parts: tuple[str, str]) -> None:
    assert sender(text) == parts


def test_a_domain_in_other_letters_is_named_in_ascii() -> None:
    assert recipient("kim@straße.example") == "kim@xn--strae-oqa.example"
    with pytest.raises(BadAddress):
        recipient("kim@-\u00fc.example")


def test_a_name_in_other_letters_is_refused_where_it_cannot_be_carried() -> None:
    assert recipient("jürgen@beispiel.example", utf8=True) == "jürgen@beispiel.example"
    with pytest.raises(NonAsciiAddress, match="SMTPUTF8") as error:
        recipient("jürgen@beispiel.example")
    assert error.value.address == "jürgen@beispiel.example"
    mail = compose(a_delivery(address="jürgen@straße.example"), "noreply@example.com", NOW)
    assert "To: jürgen@xn--strae-oqa.example\r\n".encode() in bytes(mail)

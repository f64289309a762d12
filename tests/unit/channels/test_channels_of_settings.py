"""Which channels and providers the settings make, and what they refuse."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.channels.failover import Failover
from adapters.contracts.channels import a_delivery
from domain.channels import NotConfigured, Sent
from infra.channels import build_channels, check_channels
from infra.settings import load_settings
from infra.settings_errors import SettingsError, UnsupportedVendor
from tests.support.vendors.push_vendors import private_key

KEYS = {
    "smtp": {"host": "mail.example.com", "username": "u", "password": "smtp-password"},
    "sendgrid": {"api_key": "sendgrid-key"},
    "ses": {"access_key_id": "AKIA", "secret_access_key": "ses-secret", "region": "eu-central-1"},
    "mailgun": {"api_key": "mailgun-key", "domain": "mg.example.com"},
    "onesignal": {"app_id": "app", "api_key": "onesignal-key"},
    "twilio": {"account_sid": "AC1", "auth_token": "twilio-token", "sender": "+15005550006"},
    "apprise": {"sms_url": "smseagle://apprise-token@127.0.0.1/{address}"},
    "webhook": {"secrets": ["whsec_c3RhbmQtaW4gc2VjcmV0IG9mIDMyIGJ5dGVzIQ=="]},
}
Build = Callable[[dict[str, Any]], dict[str, Failover]]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    built: list[Failover] = []

    def of(notifications: dict[str, Any], environ: dict[str, str] | None = None) -> dict[str, Failover]:
        settings = load_settings(environ=environ or {}, data=tmp_path, modules={"notifications": notifications})
        channels = build_channels(settings)
        built.extend(channels.values())
        return channels

    yield of
    for channel in built:
        await channel.close()


def names(channels: dict[str, Failover]) -> dict[str, list[str]]:
    return {name: [provider.name for provider in channel.providers] for name, channel in channels.items()}


async def test_without_a_word_the_mail_of_an_embedded_service_goes_to_a_folder(build: Build, tmp_path: Path) -> None:
    channels = build({"enabled": True})
    assert names(channels) == {"email": ["file"]}
    assert isinstance(await channels["email"].send(a_delivery()), Sent)
    assert len(os.listdir(tmp_path / "mail" / "new")) == 1


@pytest.mark.parametrize("channels", [{"webhook": {}}, {"sms": {}, "in-app": {}}, {}])
async def test_what_is_said_about_another_channel_leaves_the_mail_where_it_goes(
    build: Build, channels: dict[str, Any], tmp_path: Path
) -> None:
    assert names(build({"channels": channels})) == {"email": ["file"]}
    settings = load_settings(environ={}, data=tmp_path, modules={"notifications": {"channels": channels}})
    assert await check_channels(settings) == [("email", "file", None)]


@pytest.mark.parametrize("off", [None, {"enabled": False}])
async def test_mail_that_is_turned_off_goes_nowhere(build: Build, off: dict[str, Any] | None) -> None:
    assert build({"channels": {"email": off}}) == {}
    assert names(build({"channels": {"email": off, "webhook": {}}, "providers": KEYS})) == {"webhook": ["webhook"]}


async def test_a_list_of_channels_names_all_there_are_besides_those_with_a_section_of_their_own(build: Build) -> None:
    assert build({"channels": ["push"]}) == {}
    assert names(build({"channels": ["push"], "email": {"provider": "file"}})) == {"email": ["file"]}


async def test_a_module_that_is_off_has_no_channels(build: Build) -> None:
    assert build({"enabled": False}) == {}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The file of a service account."""
    fields = ("project_id", "client_email", "private_key_id", "token_uri")
    path = tmp_path / "firebase.json"
    path.write_text(json.dumps(dict.fromkeys(fields, "x") | {"private_key": private_key()}))
    return path


async def test_every_vendor_is_built_with_its_keys(build: Build, account: Path) -> None:
    channels = build(
        {
            "channels": {
                "in-app": {"enabled": True},
                "email": {
                    "provider": "ses",
                    "fallbacks": ["sendgrid", "mailgun", "smtp", "file"],
                    "from": "noreply@example.com",
                },
                "push": {"provider": "firebase", "fallbacks": ["onesignal"], "credentials": str(account)},
                "sms": {"provider": "twilio", "fallbacks": ["apprise"]},
                "webhook": {"enabled": True},
            },
            "providers": KEYS,
        }
    )
    assert names(channels) == {
        "email": ["ses", "sendgrid", "mailgun", "smtp", "file"],
        "push": ["firebase", "onesignal"],
        "sms": ["twilio", "apprise"],
        "webhook": ["webhook"],
    }
    assert [type(each).__name__ for each in channels["email"].providers] == [
        "Ses", "SendGrid", "Mailgun", "Smtp", "MailFile",
    ]  # fmt: skip


async def test_smtp_is_taken_where_it_has_a_host(build: Build) -> None:
    channels = build(
        {"channels": {"email": {"from": "noreply@example.com"}}, "providers": {"smtp": {"host": "mail.example.com"}}}
    )
    assert names(channels) == {"email": ["smtp"]}


@pytest.mark.parametrize("vendor", ["sendgrid", "ses", "mailgun", "smtp"])
async def test_a_vendor_without_its_keys_is_not_configured_and_says_which(build: Build, vendor: str) -> None:
    channels = build({"channels": {"email": {"provider": vendor, "from": "noreply@example.com"}}})
    outcome = await channels["email"].send(a_delivery())
    assert isinstance(outcome, NotConfigured)
    assert f"modules.notifications.providers.{vendor}." in outcome.reason


async def test_a_channel_that_nobody_serves_is_left_out(build: Build) -> None:
    assert build({"channels": ["push", "sms", "webhook", "in-app"]}) == {}
    served_elsewhere = build({"channels": ["email"]}, {"DATABASE_URL": "postgresql://db/millrace"})
    assert served_elsewhere == {}


async def test_a_key_comes_from_the_provider_the_channel_or_the_common_variable(build: Build) -> None:
    section = {"channels": {"email": {"provider": "sendgrid", "from": "noreply@example.com"}}}
    assert type(build(section, {"SENDGRID_API_KEY": "key"})["email"].providers[0]).__name__ == "SendGrid"
    section["channels"]["email"]["api_key"] = "key"
    assert type(build(section)["email"].providers[0]).__name__ == "SendGrid"


@pytest.mark.parametrize(
    ("notifications", "said"),
    [
        ({"email": {"provider": "sendgrid", "fallbacks": ["pigeon"]}}, "pigeon"),
        ({"email": {"provider": "smtp", "from": "no address"}, "providers": KEYS}, "from_address"),
        ({"push": {"provider": "firebase", "credentials": "/nowhere.json"}}, "firebase.credentials_path"),
        ({"channels": ["webhook"], "providers": {"webhook": {"secrets": ["whsec_short"]}}}, "webhook.secrets"),
        ({"channels": ["webhook"], "providers": {"webhook": {"allowed_networks": ["nowhere"]}}}, "allowed_networks"),
        ({"channels": ["sms"], "providers": {"apprise": {"sms_url": "json://token@host"}}}, "sms_url"),
        (
            {"email": {"from": "a@example.com"}, "providers": {"smtp": {**KEYS["smtp"], "security": "none"}}},
            "smtp.security",
        ),
        (
            {"email": {"from": "a@example.com"}, "providers": {"smtp": {**KEYS["smtp"], "ca_file": "/nowhere"}}},
            "smtp.ca_file",
        ),
    ],
)
async def test_what_cannot_be_used_is_refused_by_name(build: Build, notifications: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        build(notifications)
    assert said in str(error.value)
    assert "whsec_" not in str(error.value).replace("`whsec_`", "")
    assert "token@" not in str(error.value)


async def test_an_unknown_vendor_names_the_known_ones_and_where_adapters_are_found(build: Build) -> None:
    with pytest.raises(UnsupportedVendor) as error:
        build({"channels": {"sms": {"provider": "pigeon"}}})
    assert error.value.supported == ("twilio", "apprise")
    assert error.value.entry_point == "millrace.channels"


async def test_an_installed_adapter_is_built_with_its_own_settings(build: Build, adapter: str) -> None:
    section = {"channels": {"sms": {"provider": adapter}}, "providers": {"adapters": {adapter: {"wing": "left"}}}}
    assert await build(section)["sms"].send(a_delivery()) == Sent(adapter, "left")


async def test_an_adapter_that_cannot_be_built_is_named_and_its_text_is_not_shown(build: Build, adapter: str) -> None:
    with pytest.raises(SettingsError) as error:
        build({"channels": {"sms": {"provider": adapter}}, "providers": {"adapters": {adapter: {"secret": "s3cret"}}}})
    assert adapter in str(error.value)
    assert "s3cret" not in str(error.value)


async def test_no_secret_is_in_the_settings_as_they_are_shown(build: Build) -> None:
    settings = load_settings(environ={}, modules={"notifications": {"providers": KEYS}})
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        for section in KEYS.values():
            for name, value in section.items():
                if name in ("password", "api_key", "secret_access_key", "auth_token", "sms_url"):
                    assert value not in text


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of somebody else's, installed as packages are: with its entry point in its metadata."""
    (tmp_path / "carrier_pigeon.py").write_text(
        "from domain.channels import Sent\n"
        "class Pigeon:\n"
        "    name = 'carrier-pigeon'\n"
        "    def __init__(self, options): self.wing = options['wing']\n"
        "    async def send(self, delivery): return Sent(self.name, self.wing)\n"
        "    async def check(self): return None\n"
        "    async def close(self): return None\n"
    )
    metadata = tmp_path / "carrier_pigeon-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier-pigeon\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[millrace.channels]\ncarrier-pigeon = carrier_pigeon:Pigeon\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("carrier_pigeon", None)
    return "carrier-pigeon"

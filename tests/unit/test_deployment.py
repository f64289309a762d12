"""The files that deploy the system say nothing that a reviewer would have to catch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENDS_OR_CANNOT_ASK = {"migrate", "collector"}
services = pytest.mark.parametrize("name", SERVICES)


@services
def test_every_image_is_pinned_to_a_minor_version(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.match(r"v?\d+\.\d+", tag)


@services
def test_every_port_is_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@services
def test_every_service_that_can_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert ("test" in check) != (name in ENDS_OR_CANNOT_ASK)


@services
def test_every_service_gives_up_privileges_and_bounds_its_log(name: str) -> None:
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert "max-size" in SERVICES[name]["logging"]["options"]


def test_every_secret_is_required_from_the_environment() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY)\w*)([^}]*)\}", text)
    placeholders = {"RABBITMQ_PASSWORD", "RABBITMQ_OPERATOR_PASSWORD"}  # replaced inside the broker's container
    assert secrets
    assert all(rest.startswith(":?") or name in placeholders for name, rest in secrets)


def test_the_image_runs_as_an_unprivileged_user_and_checks_itself() -> None:
    last_stage = (ROOT / "infra" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    user = re.search(r"^USER (\d+):(\d+)$", last_stage, re.MULTILINE)
    assert user
    assert "0" not in user.groups()
    assert re.search(r"^HEALTHCHECK ", last_stage, re.MULTILINE)


def test_the_broker_boots_with_its_user_and_virtual_host_and_no_password_in_the_file() -> None:
    definitions = json.loads((ROOT / "infra" / "definitions.json").read_text())
    service, operator = definitions["users"]
    assert (service["name"], service["tags"]) == ("millrace", [])
    assert operator["tags"] == ["administrator"]
    assert all(re.fullmatch(r"\$\{[A-Z_]+}", user["password"]) for user in definitions["users"])
    assert definitions["vhosts"] == [{"name": "millrace"}]

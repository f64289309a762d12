"""Requests made from the OpenAPI document, to the real service: it keeps what the document says and never breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from infra.documents import openapi
from tests.support.threaded import running_in_a_thread

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# A stream of events never ends; the same query is asked as `log.read`.
ENDLESS = r"^/api/(v1/)?events$"
CONFIG = schemathesis.Config.from_dict(
    {"generation": {"max-examples": 6}, "phases": {"coverage": {"enabled": False}, "stateful": {"enabled": False}}}
)
schema = schemathesis.openapi.from_dict(openapi(), config=CONFIG).exclude(path_regex=ENDLESS, method="GET")


@pytest.fixture(scope="module")
def service_url(database_url: str) -> Iterator[str]:
    with running_in_a_thread(database_url) as service:
        yield service.url


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_promises(case: Case[Any], service_url: str) -> None:
    # Held requests are tested elsewhere; here they would only cost time.
    if isinstance(case.body, dict) and "wait" in case.body:
        case.body["wait"] = 0
    case.call_and_validate(base_url=service_url, checks=CHECKS)

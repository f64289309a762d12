"""Signatures of AWS: the vectors that AWS has published."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.channels.sigv4 import AwsCredentials, signed_headers

CREDENTIALS = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_published_vectors(method: str, signature: str) -> None:
    headers = signed_headers(
        CREDENTIALS, method, "example.amazonaws.com", "/", b"", region="us-east-1", service="service", now=MOMENT
    )
    assert headers == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}"
        ),
    }


def test_the_token_of_a_role_is_signed_too() -> None:
    headers = signed_headers(
        CREDENTIALS._replace(session_token="token"), "POST", "h", "/", b"{}",
        region="r", service="s", now=MOMENT, content_type="application/json",
    )  # fmt: skip
    assert headers["x-amz-security-token"] == "token"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers["authorization"]

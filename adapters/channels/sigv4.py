"""AWS Signature Version 4 for a request with a body, as little of it as one endpoint needs.

The small libraries add `x-amz-` headers that they do not sign, which AWS's rules forbid; botocore is 15 MB of
service descriptions for these lines.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"


class AwsCredentials(NamedTuple):
    """Of an IAM user or, with a session token, of a role."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def signed_headers(
    credentials: AwsCredentials,
    method: str,
    host: str,
    path: str,
    body: bytes,
    *,
    region: str,
    service: str,
    now: datetime,
    content_type: str | None = None,
) -> dict[str, str]:
    """The headers that the request has to carry, `Host` excepted.

    Args:
        host: the Host header, with its port where that is not the scheme's own.
        path: without a query.
        now: with a time zone; AWS accepts a difference of five minutes.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-date": moment}
    if content_type is not None:
        headers["content-type"] = content_type
    if credentials.session_token is not None:
        headers["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{quote(path, safe='/-_.~')}\n\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {name: value for name, value in headers.items() if name != "host"} | {"authorization": authorization}

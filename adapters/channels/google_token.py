"""Access tokens of a Google service account: a signed assertion is exchanged for a token that lives for an hour."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import NamedTuple

from joserfc import jwt
from joserfc.jwk import RSAKey

from adapters.channels.vendor_api import VendorApi, retry_after
from domain.channels import Unavailable

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME = 3_600
EARLY = 60.0  # seconds before its end in which a token is no longer used


class BadServiceAccount(ValueError):
    """Raised when a file is not the key of a Google service account.

    Attributes:
        path: of the file.
        reason: what is missing; never what the file holds.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is not the key of a Google service account: {reason}")
        self.path, self.reason = path, reason


class ServiceAccount(NamedTuple):
    """What we need of the JSON file that Google's console gives out."""

    project_id: str
    client_email: str
    private_key: str
    private_key_id: str
    token_uri: str

    @classmethod
    def read(cls, path: Path) -> ServiceAccount:
        """From a file.

        Raises:
            BadServiceAccount: it is missing, unreadable or something else.
        """
        try:
            content = json.loads(path.read_text())
        except OSError as error:
            raise BadServiceAccount(path, error.strerror or "it cannot be read") from None
        except ValueError:
            raise BadServiceAccount(path, "it is no JSON") from None
        missing = [name for name in cls._fields if not isinstance(content, dict) or not content.get(name)]
        if missing:
            raise BadServiceAccount(path, f"it has no {', '.join(missing)}")
        account = cls(*(str(content[name]) for name in cls._fields))
        try:
            RSAKey.import_key(account.private_key)
        except ValueError:
            raise BadServiceAccount(path, "its private_key is no RSA key") from None
        return account


class GoogleToken:
    """The current token; everybody who needs one while it is being fetched waits for the same one.

    Args:
        scope: what the token is for.
    """

    def __init__(self, account: ServiceAccount, scope: str, api: VendorApi) -> None:
        self._account, self._scope, self._api = account, scope, api
        self._token, self._until = "", 0.0
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """The token was refused; the next one is fetched anew."""
        self._until = 0.0

    async def get(self) -> str | Unavailable:
        """The token, or why there is none."""
        async with self._lock:
            if time.monotonic() < self._until:
                return self._token
            form = {"grant_type": GRANT, "assertion": self._assertion()}
            answer = await self._api.request("POST", self._account.token_uri, data=form)
            if isinstance(answer, Unavailable):
                return answer
            token, seconds = answer.at("access_token"), answer.at("expires_in")
            if not answer.ok or not isinstance(token, str) or not isinstance(seconds, int | float):
                said = self._api.reason(f"{answer.status}: {answer.at('error_description') or answer.at('error')}")
                wait = retry_after(answer.headers.get("Retry-After"))
                return Unavailable(self._api.provider, f"no access token was given: {said}", wait)
            self._token, self._until = token, time.monotonic() + seconds - EARLY
            return token

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._account.client_email,
            "scope": self._scope,
            "aud": self._account.token_uri,
            "iat": now,
            "exp": now + LIFETIME,
        }
        header = {"alg": "RS256", "kid": self._account.private_key_id}
        return jwt.encode(header, claims, RSAKey.import_key(self._account.private_key))

"""Stand-ins for Firebase Cloud Messaging with Google's token endpoint, OneSignal, Twilio and SMSEagle."""

from __future__ import annotations

import base64
import json
import time
import uuid
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.vendors.vendor import Taken, Vendor, form_of, json_problem


@cache
def private_key(of: int = 1) -> str:
    """The key of the first, second … service account; the same in all tests, because making one takes a while."""
    return (
        rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


class FirebaseServer(Vendor):
    """https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send"""

    project, email, gone = "stand-in", "sender@stand-in.iam.gserviceaccount.com", "gone-device"

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def account(self, path: Path, key: str | None = None) -> Path:
        """Writes the file that Google's console gives out."""
        content = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "key-1",
            "private_key": key or private_key(),
            "client_email": self.email,
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(content))
        return path

    def problem(self, status: int, text: str, code: str = "") -> Response:
        code = code or {429: "QUOTA_EXCEEDED", 500: "INTERNAL"}.get(status, "INVALID_ARGUMENT")
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details = [{"@type": kind, "errorCode": code}]
        return json_problem(status, {"error": {"code": status, "message": text, "status": code, "details": details}})

    async def accept(self, request: Request) -> Response:
        if request.url.path == "/token":
            return await self._token(request)
        if request.url.path != f"/v1/projects/{self.project}/messages:send":
            return self.problem(404, "no such project", "NOT_FOUND")
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            body = {"code": 401, "message": "Request had invalid authentication", "status": "UNAUTHENTICATED"}
            return json_problem(401, {"error": body})
        message = (await request.json())["message"]
        assert {*message} <= {"token", "notification", "data", "android", "apns", "webpush"}
        if not all(isinstance(value, str) for value in message["data"].values()):
            return self.problem(400, "Invalid value at 'message.data'", "INVALID_ARGUMENT")
        if message["token"] == self.gone:
            return self.problem(404, "Requested entity was not found.", "UNREGISTERED")
        told = f"projects/{self.project}/messages/0:{uuid.uuid4().hex}"
        note, tag = message["notification"], message["android"]["notification"]["tag"]
        assert len(message["apns"]["headers"]["apns-collapse-id"]) <= 64
        self.taken.append(Taken(tag, message["token"], f"{note['title']}\n{note['body']}", told, message))
        return JSONResponse({"name": told})

    async def _token(self, request: Request) -> Response:
        form = await form_of(request)
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        try:
            claims = jwt.decode(str(form["assertion"]), RSAKey.import_key(private_key()), ["RS256"]).claims
        except JoseError:
            return json_problem(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        assert (claims["iss"], claims["aud"]) == (self.email, f"{self.url}/token")
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["iat"] <= time.time() + 60
        assert claims["exp"] - claims["iat"] <= 3_600
        self.tokens.append(f"ya29.{uuid.uuid4().hex}")
        return JSONResponse({"access_token": self.tokens[-1], "expires_in": 3_599, "token_type": "Bearer"})


class OneSignalServer(Vendor):
    """https://documentation.onesignal.com/reference/push-notification"""

    app, key, gone = "8e3b1c1e-0000-4000-8000-000000000001", "os_v2_app_stand_in_0123456789", str(uuid.UUID(int=9))

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, str] = {}

    def problem(self, status: int, text: str) -> Response:
        return json_problem(status, {"errors": [text]})

    async def accept(self, request: Request) -> Response:
        given = request.headers.get("Authorization", "")
        if given != f"Key {self.key}":
            raise self.refuse(403, f"Access denied. Please include a valid key: {given}")
        if request.method == "GET":
            assert request.query_params["app_id"] == self.app
            return JSONResponse({"total_count": 0, "notifications": []})
        body = await request.json()
        if request.url.path != "/notifications" or body["app_id"] != self.app:
            raise self.refuse(400, "app_id not found")
        if not body["contents"].get("en"):
            raise self.refuse(400, "Message Notifications must have English language content")
        key = str(uuid.UUID(body["idempotency_key"]))
        if key in self.known:
            return JSONResponse({"id": self.known[key], "external_id": None})
        (to,) = body["include_subscription_ids"]
        if to == self.gone:
            return JSONResponse({"id": "", "errors": ["All included players are not subscribed"]})
        self.known[key] = str(uuid.uuid4())
        text = f"{body['headings']['en']}\n{body['contents']['en']}"
        self.taken.append(Taken(key, to, text, self.known[key], body))
        return JSONResponse({"id": self.known[key], "external_id": None})


class TwilioServer(Vendor):
    """https://www.twilio.com/docs/messaging/api/message-resource"""

    account, token = "AC00000000000000000000000000000001", "stand-in-token-0123456789"
    sender, gone = "+15005550006", "+15005550001"

    def problem(self, status: int, text: str, code: int = 0) -> Response:
        code = code or {429: 20_429, 500: 20_500, 401: 20_003}.get(status, 20_404)
        return json_problem(status, {"code": code, "message": text, "more_info": "…", "status": status})

    async def accept(self, request: Request) -> Response:
        given = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        if given != f"{self.account}:{self.token}":
            raise self.refuse(401, f"Authenticate {given}")
        if request.method == "GET":
            assert request.url.path == f"/2010-04-01/Accounts/{self.account}.json"
            return JSONResponse({"sid": self.account, "status": "active"})
        assert request.url.path == f"/2010-04-01/Accounts/{self.account}/Messages.json"
        form = await form_of(request)
        if form["To"] == self.gone:
            return self.problem(400, f"Invalid 'To' Phone Number: {form['To']}", 21_211)
        if form["From"] != self.sender:
            return self.problem(400, f"The 'From' number {form['From']} is not a valid phone number", 21_212)
        told = f"SM{uuid.uuid4().hex}"
        self.taken.append(Taken(told, str(form["To"]), str(form["Body"]), told, dict(form)))
        return JSONResponse({"sid": told, "status": "queued"}, status_code=201)


class SmsEagleServer(Vendor):
    """https://www.smseagle.eu/api/ — a gateway that Apprise knows and that has no host of its own."""

    token, gone = "StandInToken0123456789", "15005550001"

    def problem(self, status: int, text: str) -> Response:
        return json_problem(status, {"error_text": text})

    async def accept(self, request: Request) -> Response:
        body = await request.json()
        parameters = body["params"]
        if parameters["access_token"] != self.token:
            raise self.refuse(400, f"Invalid access_token: {parameters['access_token']}")
        if parameters["to"] == self.gone:
            raise self.refuse(400, "Wrong recipient")
        self.taken.append(Taken("", parameters["to"], parameters["message"], None, parameters))
        return JSONResponse({"result": [{"message_id": 1, "status": "ok"}]})

"""Stand-ins for SendGrid, Mailgun and Amazon SES."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.vendors.vendor import Taken, Vendor, form_of, json_problem

NOBODY = "nobody@invalid.example"
RESERVED = {"to", "from", "subject", "reply-to", "cc", "bcc", "received", "content-type", "dkim-signature"}


class SendGridServer(Vendor):
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""

    key = "SG.stand-in-key-0123456789"

    def problem(self, status: int, text: str) -> Response:
        return json_problem(status, {"errors": [{"message": text, "field": None, "help": None}]})

    async def accept(self, request: Request) -> Response:
        given = request.headers.get("Authorization", "")
        if given != f"Bearer {self.key}":
            # It does not echo the key; a stand-in that does shows that nobody else will see it.
            raise self.refuse(401, f"The provided authorization grant is invalid, expired, or revoked: {given}")
        if (request.method, request.url.path) == ("GET", "/v3/scopes"):
            return JSONResponse({"scopes": ["mail.send"]})
        if (request.method, request.url.path) != ("POST", "/v3/mail/send"):
            raise self.refuse(404, "not found")
        if request.headers.get("Content-Type") != "application/json":
            raise self.refuse(415, "Content-Type should be application/json.")
        body = await request.json()
        ((recipient,),) = (each["to"] for each in body["personalizations"])
        if recipient["email"] == NOBODY:
            raise self.refuse(400, "Does not contain a valid address.")
        kinds = [part["type"] for part in body["content"]]
        if kinds != sorted(kinds, key=["text/plain", "text/html"].index) or not all(
            p["value"] for p in body["content"]
        ):
            raise self.refuse(400, "The content value must be a string at least one character in length.")
        headers = body.get("headers", {})
        if any(name.lower() in RESERVED for name in headers) or not body["from"]["email"] or "\n" in body["subject"]:
            raise self.refuse(400, "The headers are not valid.")
        if not all(isinstance(value, str) for value in body["custom_args"].values()):
            raise self.refuse(400, "The custom arguments must be strings.")
        told = uuid.uuid4().hex[:22]
        text = "\n".join([body["subject"], *(part["value"] for part in body["content"])])
        self.taken.append(Taken(headers["Message-ID"], recipient["email"], text, told, body))
        return Response(status_code=202, headers={"X-Message-Id": told})


class MailgunServer(Vendor):
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""

    key, domain = "key-stand-in-0123456789abcdef", "mg.example.com"

    def problem(self, status: int, text: str) -> Response:
        return json_problem(status, {"message": text})

    async def accept(self, request: Request) -> Response:
        given = request.headers.get("Authorization", "")
        if given != "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode():
            decoded = base64.b64decode(given.removeprefix("Basic ")).decode()
            return Response(f"Forbidden {decoded}", status_code=401, media_type="text/html")
        if (request.method, request.url.path) == ("GET", f"/v4/domains/{self.domain}"):
            return JSONResponse({"domain": {"name": self.domain, "state": "active"}})
        if request.url.path != f"/v3/{self.domain}/messages":
            raise self.refuse(404, "Domain not found")
        form = await form_of(request)
        missing = [name for name in ("from", "to", "subject", "text") if not form.get(name)]
        if missing:
            raise self.refuse(400, f"{missing[0]} parameter is missing")
        if form["to"] == NOBODY or "," in str(form["to"]):
            raise self.refuse(400, "to parameter is not a valid address. please check documentation")
        told, text = str(form["h:Message-Id"]), f"{form['subject']}\n{form['text']}\n{form.get('html', '')}"
        self.taken.append(Taken(told, str(form["to"]), text, told, dict(form)))
        return JSONResponse({"id": told, "message": "Queued. Thank you."})


class SesServer(Vendor):
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""

    access_key, secret, region = "AKIASTANDIN0000000", "stand-in/secret+key/0123456789", "eu-central-1"

    def problem(self, status: int, text: str, kind: str = "") -> Response:
        kind = kind or {429: "TooManyRequestsException", 500: "InternalFailure"}.get(status, "BadRequestException")
        return json_problem(status, {"message": text}, {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/"})

    async def accept(self, request: Request) -> Response:
        body = await request.body()
        self._verify(request, body)
        if (request.method, request.url.path) == ("GET", "/v2/email/account"):
            return JSONResponse({"SendingEnabled": True, "ProductionAccessEnabled": True})
        if (request.method, request.url.path) != ("POST", "/v2/email/outbound-emails"):
            return self.problem(404, "not found", "UnknownOperationException")
        content: dict[str, Any] = await request.json()
        if content["FromEmailAddress"] == "paused@example.com":
            return self.problem(400, "Sending is paused for this account", "SendingPausedException")
        (to,) = content["Destination"]["ToAddresses"]
        if to == NOBODY:
            return self.problem(400, "Email address is not valid: it cannot be sent to", "MessageRejected")
        simple = content["Content"]["Simple"]
        for tag in content["EmailTags"]:
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["Value"])
        parts = [simple["Subject"]["Data"], *(part["Data"] for part in simple["Body"].values())]
        told = f"0100{uuid.uuid4().hex}-000000"
        self.taken.append(Taken(content["EmailTags"][0]["Value"], to, "\n".join(parts), told, content))
        return JSONResponse({"MessageId": told})

    def _verify(self, request: Request, body: bytes) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
        authorization = request.headers.get("Authorization", "")
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
            r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
            authorization,
        )
        if found is None:
            raise self._unauthorised("IncompleteSignatureException", authorization)
        access_key, day, region, service, names, signature = found.groups()
        ours = {name for name in request.headers if name == "host" or name.startswith("x-amz-")}
        if not ours <= {*names.split(";")} or (access_key, region, service) != (self.access_key, self.region, "ses"):
            raise self._unauthorised("UnrecognizedClientException", access_key)
        lines = [request.method, request.url.path, request.url.query]
        lines += [f"{name}:{request.headers[name].strip()}" for name in names.split(";")]
        lines += ["", names, hashlib.sha256(body).hexdigest()]
        scope = f"{day}/{region}/{service}/aws4_request"
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
        if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != signature:
            raise self._unauthorised("SignatureDoesNotMatch", "The request signature we calculated does not match")

    def _unauthorised(self, kind: str, text: str) -> Exception:
        refusal = self.refuse(403, text)
        refusal.response.headers["x-amzn-ErrorType"] = kind
        return refusal

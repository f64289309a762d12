"""A receiver of webhooks that verifies them with the reference library."""

from __future__ import annotations

import json

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from tests.support.vendors.vendor import Taken, Vendor

SECRET = "whsec_c3RhbmQtaW4gc2VjcmV0IG9mIDMyIGJ5dGVzIQ=="


class Receiver(Vendor):
    """`/gone`, `/moved` and `/any` are endpoints; everything else verifies with `secret`."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = SECRET

    def problem(self, status: int, text: str) -> Response:
        return JSONResponse({"error": text}, status_code=status)

    async def accept(self, request: Request) -> Response:
        if request.url.path == "/gone":
            return self.problem(410, "gone")
        if request.url.path == "/moved":
            return RedirectResponse("/any", status_code=307)
        body = await request.body()
        try:
            content = Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return self.problem(401, str(error))
        data = content["data"]
        text = f"{data['title']}\n{data['message']}"
        self.taken.append(Taken(request.headers["webhook-id"], data["user_id"], text, None, json.loads(body)))
        return Response(status_code=204)

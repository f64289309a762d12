"""The browser side: components and a demo page, as files under `/web/`."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parents[2] / "web"
# Components style themselves by style sheets made in code, which `style-src` does not concern.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


# What pages of applications load; the demo page itself is for nobody's frame or script.
SHARED = (".js", ".css")


class WebFiles(StaticFiles):
    """Files that a browser asks for again only where they have changed."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-cache"
        if os.fspath(full_path).endswith(SHARED):
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response


def web_files() -> Mount:
    """The route of the files; they are the same for everybody and need no key."""
    return Mount("/web", WebFiles(directory=FOLDER, html=True), name="web")

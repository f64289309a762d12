"""Lists are bare arrays; where one goes on, `Link: <…>; rel="next"` says so."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request

from adapters.http.call import call_of


def next_page(request: Request, name: str, value: str | None) -> dict[str, str]:
    """The header that leads to the next page: this request again, with the parameter `name` set to `value`.

    The address is relative, so that it holds behind any proxy.
    """
    if value is None:
        return {}
    query = request.scope["query_string"].decode("latin-1")
    kept = [(key, text) for key, text in parse_qsl(query, keep_blank_values=True) if key != name]
    path = quote(call_of(request.scope).path)
    return {"Link": f'<{path}?{urlencode([*kept, (name, value)])}>; rel="next"'}

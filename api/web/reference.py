"""The page /docs: Swagger UI over the OpenAPI document, from this pod alone; it can try requests.

Scripts and styles are files of the package `fastapi-offline`, which carries what Swagger UI
publishes; nothing is loaded from anywhere else, and the page may send nothing anywhere else.
"""

from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

PATH: Final = "/docs"
HEADERS: Final = {
    # The bundle writes styles into the page, and draws its signs as images in the address.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}

_START: Final = b"""\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Nothing is sent to a validator elsewhere.
  validatorUrl: null,
});
"""
_FILES: Final = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}

# Addresses are relative, for a proxy may serve the pod below a path of its own.
_PAGE: Final = """\
<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>seatstream: HTTP API</title>
<link rel=stylesheet href="docs/swagger-ui.css">
<noscript>Without scripts: <a href="openapi.json">openapi.json</a>.</noscript>
<div id=reference></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
"""

PATHS: Final = (PATH, *(f"{PATH}/{name}" for name in _FILES))


def add_to(application: FastAPI) -> None:
    """Give an application the page and its files."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=HEADERS)

    async def file(request: Request) -> Response:
        name = request.url.path.removeprefix(f"{PATH}/")
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(_content(name), media_type=_FILES[name], headers=headers)

    application.add_route(PATH, page, include_in_schema=False)
    for name in _FILES:
        application.add_route(f"{PATH}/{name}", file, include_in_schema=False)


@cache
def _content(name: str) -> bytes:
    if name == "start.js":
        return _START
    return (files("fastapi_offline") / "static" / name).read_bytes()

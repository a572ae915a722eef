"""The page /docs: the OpenAPI document as HTML, without scripts and foreign servers."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

import orjson

HEADERS: Final = (
    # Nothing may be loaded from anywhere; the style is in the page.
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("Cache-Control", "no-cache"),
)

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
summary { cursor: pointer } pre { overflow: auto; background: #8881; padding: .5rem }
table { border-collapse: collapse } td, th { border: 1px solid #8884; padding: .2rem .5rem }
td, th { text-align: left; vertical-align: top } :root { color-scheme: light dark }
"""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    return "".join(_page(document))


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    yield "<!doctype html><html lang=en><meta charset=utf-8>"
    yield "<meta name=viewport content='width=device-width'>"
    yield f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
    yield f"<p>{escape(info.get('summary', ''))} "
    yield "The same for programs: <a href=/openapi.json>openapi.json</a>."
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _operation(path, method, operation)
    yield "<h2>Bodies</h2>"
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield f"<details id='{escape(name)}'><summary>{escape(name)}</summary>"
        yield f"{_json(schema)}</details>"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    parameters = operation.get("parameters", ())
    if parameters:
        yield "<table><tr><th>Parameter<th>In<th>Form<th>Meaning"
        for parameter in parameters:
            needed = " (required)" if parameter.get("required") else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code>{needed}"
            yield f"<td>{escape(parameter['in'])}<td><code>{_compact(parameter['schema'])}</code>"
            yield f"<td>{escape(parameter.get('description', ''))}"
        yield "</table>"
    if "requestBody" in operation:
        yield f"<details><summary>Body</summary>{_json(operation['requestBody'])}</details>"
    for status, told in operation["responses"].items():
        yield f"<details><summary>{escape(status)} {escape(told.get('description', ''))}"
        yield f"</summary>{_json(told.get('content', {}))}</details>"


def _compact(schema: Any) -> str:
    shown = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    return escape(orjson.dumps(shown).decode())


def _json(content: Any) -> str:
    return f"<pre>{escape(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())}</pre>"

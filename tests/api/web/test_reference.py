"""The page /docs: whole, from this pod alone."""

import re

import httpx
from support.pods.api_pods import asking, pod_with

LINK = re.compile(r"(?:src|href)=\"([^\"]+)\"")


def test_all_that_the_page_needs_is_here_and_nothing_may_come_from_elsewhere() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        [policy] = page.headers.get_list("content-security-policy")
        allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert allowed["default-src"] == "'none'"
        assert allowed["script-src"] == allowed["connect-src"] == "'self'"
        links = LINK.findall(page.text)
        assert len(links) == 4
        for link in links:
            found = await client.get(page.url.join(link))
            assert found.status_code == 200, link
            assert found.headers["x-content-type-options"] == "nosniff"
        # Inline scripts are not allowed, so there is none.
        assert re.findall(r"<script(?! src=)", page.text) == []

    asking(pod_with(), test)


def test_the_page_shows_this_pods_document_and_can_send_a_token() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        start = await client.get("/docs/start.js")
        assert start.headers["content-type"].startswith("text/javascript")
        [address] = re.findall(r'url: "([^"]+)"', start.text)
        # An address in it counts from the page.
        page = httpx.URL("http://pod/docs")
        assert page.join(address) == "http://pod/openapi.json"
        [target] = re.findall(r'dom_id: "#([^"]+)"', start.text)
        assert f"id={target}" in (await client.get("/docs")).text
        document = (await client.get("/openapi.json")).json()
        [scheme] = document["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")

    asking(pod_with(), test)


def test_no_other_file_is_shown() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for name in ("redoc.standalone.js", "..%2Fcore.py", "../core.py", "start.js/", ""):
            assert (await client.get(f"/docs/{name}")).status_code == 404, name

    asking(pod_with(), test)

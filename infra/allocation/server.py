"""The allocation service over HTTP.

POST /v1/allocations   Idempotency-Key: KEY   {"user_id", "event_id", "purchase_id"}
    201 made now, 200 there already: {"allocation_id", "status"}
    400 no such request, 422 the key came with another one
POST /v1/allocations:end   {"allocation_id"}, or {"purchase_id"} of whoever never heard one
    200 it has ended, now or before; 404 there is none, 400 no such request
GET  /v1/allocations   200: all of them
"""

from collections.abc import Awaitable, Callable
from json import JSONDecodeError

from aiohttp import web

from infra.allocation.books import Asked, Books, Ended, KeyReused

KEY_MAX = 255
BODY_BYTES_MAX = 16 * 1024


async def at_once() -> None:
    """Answer without a pause."""


def application(
    books: Books, before_answer: Callable[[], Awaitable[None]] = at_once
) -> web.Application:
    """Return the service over these books.

    before_answer: what happens between a decision and its answer, such as a pause.
    """

    async def allocate(request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        try:
            asked = Asked.of(await request.json())
        except (JSONDecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        if not 1 <= len(key) <= KEY_MAX:
            return web.json_response({"error": "an Idempotency-Key is demanded"}, status=400)
        try:
            found, is_new = books.allocate(key, asked)
        except KeyReused:
            return web.json_response({"error": "the key came with another request"}, status=422)
        await before_answer()
        return web.json_response(found, status=201 if is_new else 200)

    async def end(request: web.Request) -> web.Response:
        try:
            is_there = books.end(Ended.of(await request.json()))
        except (ValueError, RecursionError) as error:
            return web.json_response({"error": f"{type(error).__name__}"}, status=400)
        return web.json_response({}, status=200 if is_there else 404)

    async def listed(_: web.Request) -> web.Response:
        return web.json_response(books.all())

    service = web.Application(client_max_size=BODY_BYTES_MAX)
    service.router.add_post("/v1/allocations", allocate)
    service.router.add_post("/v1/allocations:end", end)
    service.router.add_get("/v1/allocations", listed)
    return service

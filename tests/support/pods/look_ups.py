"""A pod of a view that is fed by hand, and questions to it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from support.pages.tokens import bearer, verifier
from support.pods.asgi_client import Answer, request
from support.pods.conditions import until
from support.records.status_records import EVENT, Fed

from api.app import ASGIApp, create_app
from api.building import pod_of
from api.settings import ApiSettings
from state.views.events.catalogue import Events

TOKEN = bearer()


class LookUpPod:
    """A pod without brokers: `fed` tells its view, `ask` asks it."""

    def __init__(self, catalogue: Events | None = None, **settings: Any) -> None:
        self.fed = Fed()
        self.pod = pod_of(
            ApiSettings(**settings),
            verifier=verifier(),
            view=self.fed.view,
            catalogue=catalogue,
        )
        self.app: ASGIApp = create_app(self.pod.settings, self.pod)

    def ask(
        self,
        target: str = f"/v1/events/{EVENT}/availability",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        return asyncio.run(request(self.app, target, headers={**TOKEN, **(headers or {})}, **more))

    def ask_while(self, target: str, happens: Callable[[], object]) -> Answer:
        """Ask a question that waits, and let something happen once it does."""

        async def scenario() -> Answer:
            asked = asyncio.create_task(request(self.app, target, headers=TOKEN))
            await until(lambda: len(self.fed.view._waiters) or asked.done())
            happens()
            return await asked

        return asyncio.run(scenario())

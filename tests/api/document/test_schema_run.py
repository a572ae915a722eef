"""Every endpoint does what its document says, asked by schemathesis with good and bad data.

The pod runs in-process over seats in memory, decided by the real handler.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.pods.whole_pods import whole_pod

from api.app import create_app
from api.building import pod_of
from api.settings import ApiSettings
from api.streaming import client as streamed

TOKEN = {"Authorization": "Bearer somebody:buyer,operator"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def documented() -> dict[str, Any]:
    pod = pod_of(ApiSettings())
    application: Any = create_app(pod.settings, pod)
    document: dict[str, Any] = application.documented.openapi()
    return document


SCHEMA = schemathesis.openapi.from_dict(documented())
OPERATIONS = {
    one.ok().label: one.ok() for one in SCHEMA.get_all_operations() if isinstance(one, Ok)
}


@dataclass
class Asked:
    """A pod in a loop of its own, asked from outside."""

    loop: asyncio.AbstractEventLoop
    client: httpx.AsyncClient

    def ask(self, case: Any) -> httpx.Response:
        kwargs = case.as_transport_kwargs(base_url="http://pod", headers=TOKEN)
        prepared: Any = requests.Request(
            **{name: value for name, value in kwargs.items() if name in REQUEST_ARGUMENTS}
        ).prepare()
        # Longer ones end in the client.
        assume(len(prepared.url) < URL_LENGTH_MAX)
        headers = {**prepared.headers}
        request = self.client.build_request(
            prepared.method, prepared.url, headers=headers, content=prepared.body
        )
        asked = asyncio.run_coroutine_threadsafe(self.client.send(request), self.loop)
        return asked.result(timeout=60)


URL_LENGTH_MAX = 60_000
REQUEST_ARGUMENTS = {"method", "url", "headers", "files", "data", "params", "json", "cookies"}


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with pytest.MonkeyPatch.context() as patch:
        # Streams end as soon as they have begun: the client takes whole answers only.
        patch.setattr(streamed, "LIFE_S", -1)
        patch.setattr(streamed, "TICK_S", 0.01)
        yield from _asked()


def _asked() -> Iterator[Asked]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def made() -> httpx.AsyncClient:
        pod = whole_pod()
        application: Any = create_app(pod.settings, pod)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://pod")

    client = asyncio.run_coroutine_threadsafe(made(), loop).result(timeout=60)
    yield Asked(loop, client)
    asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(timeout=60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_every_operation_of_the_document_is_asked() -> None:
    document = documented()
    assert len(OPERATIONS) == sum(map(len, document["paths"].values()))
    assert len(OPERATIONS) >= 14


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_an_endpoint_keeps_to_its_document(asked: Asked, label: str, mode: GenerationMode) -> None:
    cases = OPERATIONS[label].as_strategy(generation_mode=mode)

    @settings(
        max_examples=settings().max_examples // 5,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        case = data.draw(cases)
        case.validate_response(asked.ask(case), checks=CHECKS, headers=TOKEN)

    run()

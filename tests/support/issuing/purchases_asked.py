"""Requests about purchases: a pod over the stores of the role that issues, in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.issuing.orders import EVENT, SOURCE, Issuing, word
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Nobody, Seats, pod_over

from api.pod import Pod
from state.owners.lookup import OwnerLookup
from state.owners.questions import Question

__all__ = ["EVENT", "asking", "pem", "word"]


def pem(seed: int = 1) -> str:
    """Return the PEM of a key that is always the same."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class IssuedStores(OwnerLookup):
    """Asks the stores of a driver itself, once; `failure` is raised by each look-up."""

    def __init__(self, issuing: Issuing) -> None:
        super().__init__("nowhere:1", "issuing", patience_s=0, directory=Nobody())
        self.issuing = issuing
        self.failure: Exception | None = None

    async def _attempt(
        self,
        question: Question,
        least: int,  # noqa: ARG002
        newer_than_s: float,  # noqa: ARG002
    ) -> list[bytes | None]:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        assert question.topic == SOURCE
        stored = self.issuing.driver.stored(SOURCE, question.partition)
        return [stored.get(key) for key in question.keys]


Test = Callable[[Issuing, Pod, httpx.AsyncClient], Awaitable[None]]


def asking(test: Test, **changes: Any) -> None:
    """Run a test with one pod and its client."""

    async def go() -> None:
        async with asyncio.timeout(60):
            issuing = Issuing()
            parts = {"issued": IssuedStores(issuing)}
            pod = pod_over(Seats().open("...."), parts=parts, **changes)
            async with client_of(pod) as client:
                await test(issuing, pod, client)

    asyncio.run(go())

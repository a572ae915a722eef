"""How a cart stands is asked of its owner, again and again while somebody waits."""

import asyncio

import httpx
import pytest
from support.carts.carting import SECTIONS, Carting, best, cart_id_of, open_cart
from support.pods.carts_asked import asking, owners_of
from support.pods.conditions import until

from api.carts.standing import awaited_cart, cart_at_owner
from api.pod import Pod
from api.web.problems import Problem
from state.domain.carts.statuses import CartStatus
from state.owners.questions import OwnerNotReady

A, B, _ = SECTIONS
ID = cart_id_of()


def test_an_id_that_is_none_is_asked_of_nobody() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        assert await cart_at_owner(pod, "r-1") is None
        assert await cart_at_owner(pod, f"{'a' * 26}-4") is None
        assert owners_of(pod).asked == 0

    asking(test)


def test_who_waits_hears_as_soon_as_it_is_so() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(
            awaited_cart(pod, ID, lambda cart: cart.status == CartStatus.HELD, 20)
        )
        await until(lambda: owners_of(pod).asked > 1)
        world.send(open_cart(ID, best(A, 1)))
        cart = await waiting
        assert cart is not None
        assert cart.status == CartStatus.HELD

    asking(test)


def test_an_owner_that_is_away_for_a_moment_is_asked_again() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        world.send(open_cart(ID, best(A, 1)))
        owners_of(pod).failure = OwnerNotReady("restores")
        with pytest.raises(Problem, match="starting"):
            await awaited_cart(pod, ID, lambda _: True, 0)
        waiting = asyncio.create_task(awaited_cart(pod, ID, lambda _: True, 20))
        before = owners_of(pod).asked
        await until(lambda: owners_of(pod).asked > before)
        owners_of(pod).failure = None
        assert await waiting is not None

    asking(test)


def test_a_pod_that_ends_lets_nobody_wait() -> None:
    async def test(world: Carting, pod: Pod, client: httpx.AsyncClient) -> None:
        pod.drain()
        assert await awaited_cart(pod, ID, lambda _: True, 20) is None

    asking(test)

"""A code is drawn as an SVG that holds nothing but a drawing."""

from xml.etree import ElementTree as ET

import httpx
import pytest
from support.issuing.orders import Issuing
from support.issuing.purchases_asked import EVENT, asking, pem, word
from support.pods.reservations_asked import ANN, problem

from api.pod import Pod

drawn = pytest.importorskip(
    "api.purchases.drawn", reason="needs the extra qr", exc_type=ImportError
)

CODE = "eyJ0eXAiOiJ0aWNrZXQrand0In0." + "a" * 300


def test_a_drawing_is_one_svg_and_always_the_same() -> None:
    svg = drawn.qr_code(CODE)
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "g", "path"}
    drawn.qr_code.cache_clear()
    assert drawn.qr_code(CODE) == svg
    assert drawn.qr_code(CODE + "b") != svg


def test_a_picture_has_the_modules_of_the_drawing() -> None:
    picture = drawn.qr_picture(CODE)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    size = f'width="{width}" height="{height}"'.encode()
    assert size in drawn.qr_code(CODE)


def test_a_ticket_is_drawn_for_its_buyer() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1"))
        bought = (await client.get(f"/v1/purchases?event_id={EVENT}", headers=ANN)).json()
        path = f"/v1/purchases/{bought['purchase_id']}/tickets"
        for ticket in bought["tickets"]:
            answer = await client.get(f"{path}/{ticket['ticket_id']}/qr", headers=ANN)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "image/svg+xml"
            assert answer.content == drawn.qr_code(ticket["code"])
            for query, accept in (("?format=png", "*/*"), ("", "image/png, */*;q=0.1")):
                where = f"{path}/{ticket['ticket_id']}/qr{query}"
                picture = await client.get(where, headers={**ANN, "Accept": accept})
                assert picture.headers["content-type"] == "image/png", picture.text
                assert picture.headers["vary"] == "Accept"
                assert picture.content == drawn.qr_picture(ticket["code"])
            both = {**ANN, "Accept": "image/png, image/svg+xml"}
            drawing = await client.get(f"{path}/{ticket['ticket_id']}/qr", headers=both)
            assert drawing.content == answer.content
        problem(await client.get(f"{path}/r9.1.0.0.0/qr", headers=ANN), 404, "NOT_FOUND")

    asking(test, ticket_key=pem())
